"""Where instructions other than a task's own come from: reviewed pools, and rules over a reviewed lexicon.

The pools are the TOML files of this folder, one per suite, an entry per task with its paraphrases and translations.
`lexicon.toml` names the things of LIBERO's scenes. No language model takes part in a run: what a policy can be told is
in these files, or follows from them by rule.

Modules: `pools` (the files), `slots` (verb, object and place of an instruction), `rules` (texts with changed slots),
`swaps` (texts that name another thing of the scene, with the goal they then ask for), `degrade` (texts that are harder
to read).
"""
