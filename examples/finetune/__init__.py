"""Fine-tunes a SmolVLA checkpoint with regularisers, to see what they do in closed loop. See README.md.

`losses` has the formulas, `recipes` their names and weights, `train` and `sweep` are the commands.
"""
