"""What the policy is told."""

from dataclasses import replace

import pytest

from perturbations.base import Infeasible, Instruction, InstructionContext
from perturbations.spec import parse


def told(text, context, rng):
    return parse(text).instruction(context, rng)


def test_unperturbed_conditions_tell_the_original(context, streams):
    original = Instruction("put the bowl on the plate", None, "original")
    for text in ("none", "noise:0.1", "light:0.3", "instruction:original"):
        assert told(text, context, streams()) == original


def test_empty_is_the_empty_text(context, streams):
    assert told("instruction:empty", context, streams()) == Instruction("", None, "empty")


def test_a_counterfactual_is_one_of_the_pool_with_its_goal(context, streams):
    chosen = [told("instruction:counterfactual", context, streams(seed)) for seed in range(60)]
    assert set(chosen) == set(context.counterfactuals)
    assert all(instruction.goal for instruction in chosen)


def test_a_mismatch_is_one_of_the_pool_without_a_goal(context, streams):
    chosen = [told("instruction:mismatch", context, streams(seed)) for seed in range(90)]
    assert {instruction.text for instruction in chosen} == set(context.mismatches)
    assert {instruction.source for instruction in chosen} == {f"mismatch/{i}" for i in range(9)}
    assert all(instruction.goal is None for instruction in chosen)


def test_the_draw_depends_on_the_pair_alone(context, streams):
    alone = told("instruction:counterfactual", context, streams(5))
    for company in ("noise:0.1", "noise:0.3+light:0.2"):
        assert told(f"instruction:counterfactual+{company}", context, streams(5)) == alone


@pytest.mark.parametrize("kind", ["counterfactual", "mismatch"])
def test_a_task_without_alternatives_is_infeasible(kind, context, streams):
    bare = replace(context, counterfactuals=(), mismatches=())
    with pytest.raises(Infeasible, match=f"instruction:{kind}: no {kind} instruction exists for the task 'put the"):
        told(f"instruction:{kind}", bare, streams())


def test_a_context_with_useless_alternatives_is_refused(context):
    goal = context.original_goal
    for broken in (
        {"counterfactuals": (Instruction("x", None, "s/1"),)},
        {"counterfactuals": (Instruction("x", goal, "s/1"),)},
        {"counterfactuals": (Instruction(context.original, (("up", "bowl_1"),), "s/1"),)},
        {"mismatches": (context.original,)},
    ):
        with pytest.raises(ValueError, match="put the bowl"):
            replace(context, **broken)
    assert InstructionContext("x", goal, (), ()).counterfactuals == ()
