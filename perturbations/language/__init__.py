"""Sources of alternative instructions: reviewed pools, and rules over a reviewed lexicon.

The pools are the TOML files of this folder, one per suite, with the paraphrases and translations of each task.
`lexicon.toml` names the objects of LIBERO's scenes. No language model takes part in a run: every text is in these files
or follows from them by rule.

Modules: `pools` (reads the files), `slots` (verb, object and place of an instruction), `rules` (texts with changed
slots), `swaps` (texts that name another object of the scene, with their goal), `degrade` (corrupted texts).
"""
