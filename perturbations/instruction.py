"""The language axis: what the policy is told.

Counterfactuals and mismatches are drawn once per pair, so every policy gets the same one.
"""

import numpy as np

from perturbations.base import (
    WORD,
    AxisInfo,
    Infeasible,
    Instruction,
    InstructionContext,
    Stage,
    register,
)


@register(
    AxisInfo(
        name="instruction",
        stage=Stage.LANGUAGE,
        family="S",
        unit=WORD,
        value_means="which instruction the policy is given",
        words={
            "original": "kept",
            "empty": "not_applicable",
            "mismatch": "not_applicable",
            "counterfactual": "changed",
        },
        identity="original",
        source="the original audit's three instructions; counterfactuals after LIBERO-CF (arXiv 2602.17659)",
    )
)
def instruction(context: InstructionContext, value: str, rng: np.random.Generator) -> Instruction:
    """No text, the text of another scene, or the text for another goal of this scene.

    Raises:
        Infeasible: the task has no such alternative.
    """
    if value == "empty":
        return Instruction("", None, "empty")
    pool = context.counterfactuals if value == "counterfactual" else context.mismatches
    if not pool:
        raise Infeasible(f"instruction:{value}: no {value} instruction exists for the task {context.original!r}")
    index = int(rng.integers(len(pool)))
    chosen = pool[index]
    return chosen if isinstance(chosen, Instruction) else Instruction(chosen, None, f"mismatch/{index}")
