"""What may be told in a task, and the check that nothing else is."""

from dataclasses import replace

import pytest
from helpers import roll_out, toy_spec

from envs.suites import BUILT_IN as SUITES
from envs.suites import tasks
from envs.toy.env import ToyEnv
from perturbations.base import WORD, AxisInfo, Infeasible, Instruction, Stage, register
from perturbations.condition import Condition
from perturbations.spec import parse
from simeval.core.errors import EpisodeError
from simeval.core.instructions import infeasible_reason, instructable_goals, language_context, resolve_instruction
from simeval.core.seeding import PairStreams
from simeval.policies.scripted import ZeroPolicy

STREAMS = PairStreams(0, (1, 2, 3, 4)).generator
LEAKED = "touch the red block noise 45"


@pytest.mark.parametrize("suite", SUITES)
def test_a_context_knows_its_task_and_its_scene(suite):
    for task in tasks(suite):
        context = language_context(task, turn=3)
        assert (context.suite, context.task, context.turn) == (suite, task.index, 3)
        assert (context.original, context.original_goal) == (task.instruction, task.goal)
        assert context.starts.keys() <= context.names
        assert resolve_instruction(parse("none"), context, STREAMS) == Instruction(task.instruction, None, "original")


def test_a_text_that_is_not_declared_never_reaches_the_policy(monkeypatch):
    """As in LIBERO-plus, whose task files carry the name of the perturbation in the instruction."""
    context = language_context(tasks("toy")[0])
    monkeypatch.setattr(Condition, "instruction", lambda *_: Instruction(LEAKED, None, "original"))
    with pytest.raises(EpisodeError, match="'touch the red block noise 45' is not what its source 'original' says"):
        resolve_instruction(parse("noise:0.1"), context, STREAMS)
    env = ToyEnv(0, 64)
    result, _ = roll_out(toy_spec(condition="noise:0.1"), env, ZeroPolicy())
    assert (result.outcome, result.error_phase) == ("error", "perturb")
    assert "is not what its source" in result.error_text
    env.close()


@pytest.mark.parametrize("change", [{"text": LEAKED}, {"source": "paraphrase/toy/0/1"}, {"goal": (("up", "x"),)}])
def test_each_part_of_what_is_told_is_checked(change, monkeypatch):
    context = language_context(tasks("toy")[0])
    told = resolve_instruction(parse("instruction:typo:0.1"), context, STREAMS)
    monkeypatch.setattr(Condition, "instruction", lambda *_: replace(told, **change))
    with pytest.raises(EpisodeError):
        resolve_instruction(parse("instruction:typo:0.1"), context, STREAMS)


@pytest.fixture
def whispered(monkeypatch):
    """A language axis of the user's own, gone after the test."""
    from perturbations import base

    monkeypatch.setattr(base, "_axes", dict(base._axes))
    monkeypatch.setattr(base, "_functions", dict(base._functions))
    words = {"no": "kept", "yes": "kept"}
    info = AxisInfo(
        name="whisper",
        stage=Stage.LANGUAGE,
        family="S",
        unit=WORD,
        value_means="x",
        words=words,
        identity="no",
        source="x",
    )
    register(info)(lambda context, value, rng: Instruction("pst", None, "whisper/1"))


def test_a_users_own_axis_answers_for_its_texts(whispered):
    context = language_context(tasks("toy")[0])
    assert resolve_instruction(parse("whisper:yes"), context, STREAMS).text == "pst"


@pytest.mark.parametrize(
    ("suite", "condition", "able"),
    [
        ("toy", "none", range(4)),
        ("toy", "noise:0.1", range(4)),
        ("toy", "instruction:lang:de", ()),
        ("libero_10", "instruction:counterfactual", (0, 1, 7)),
        ("libero_10", "instruction:counterfactual:2", (0, 1)),
        ("libero_10", "instruction:counterfactual:libero_90", range(10)),
        ("libero_goal", "instruction:placeswap+noise:0.1", (1, 2, 3, 4, 6, 8, 9)),
    ],
)
def test_what_a_task_cannot_be_told_is_known_beforehand_with_the_reason(suite, condition, able):
    reasons = {task.index: infeasible_reason(parse(condition), task) for task in tasks(suite)}
    assert [index for index, reason in reasons.items() if reason is None] == list(able)
    assert all(tasks(suite)[i].instruction in reason for i, reason in reasons.items() if reason)


@pytest.mark.parametrize("suite", SUITES)
def test_every_goal_that_can_be_told_is_known_without_telling_it(suite):
    """Else the rate at which it is reached by accident would count as zero."""
    for task in tasks(suite):
        context = language_context(task)
        goals = instructable_goals(context)
        assert task.goal not in goals
        assert len(set(goals)) == len(goals)
        for kind in ("counterfactual", "counterfactual:libero_90", "objectswap", "placeswap"):
            for number in range(5):
                told = tellable(f"instruction:{kind}", context, number)
                assert told is None or told.goal in goals


def tellable(text, context, number):
    try:
        return resolve_instruction(parse(text), context, PairStreams(number, (1, 2, 3, 4)).generator)
    except Infeasible:
        return None
