"""LIBERO-PRO's texts as other runners send them, its base arm, and the reviewed texts of its base suites."""

import dataclasses

import numpy as np
import pytest
from helpers import call, refusal

from envs import suites
from envs.assets import BUNDLED
from envs.base import ResetOptions
from envs.build import make_env
from envs.libero.catalog import libero_tasks
from envs.libero_pro import catalog
from perturbations.instruction import entries, is_declared
from perturbations.language.pools import texts
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core.instructions import language_context

PAIRED = [suite for suite in catalog.PRO_SUITES if suite.endswith(("_lan", "_task"))]


def named(tasks, suite):
    return tuple(dataclasses.replace(task, suite=suite) for task in tasks)


def test_file_names_are_a_variant_of_every_suite(pro):
    for suite in catalog.PRO_SUITES:
        variant = f"{suite}@file-name"
        assert suites.tasks(variant) == named(catalog.pro_tasks(suite, "file-name"), variant)


def test_the_base_arm_is_the_catalogues_where_there_is_one(pro):
    for suite in PAIRED:
        variant = f"{suite}@base"
        arm = tuple(catalog.base_task(task) for task in catalog.pro_tasks(suite))
        assert suites.tasks(variant) == named(arm, variant)
        assert [task.init_states for task in arm] == [task.init_states for task in catalog.pro_tasks(suite)]


@pytest.mark.parametrize(
    ("suite", "reason"),
    [
        ("libero_goal_swap", "its change is the initial states, which do not fit the base scene where fixtures"),
        ("libero_10_object", "its initial states are resting places of other objects than the base scene's"),
    ],
)
def test_the_others_say_why_they_have_none(suite, reason, pro):
    assert refusal("plan", "--suite", suite, "--base-arm").startswith(f"--base-arm: {suite} has no base arm: {reason}")


def test_the_change_is_pros_own_task_in_the_base_scene(pro):
    for suite in PAIRED:
        for arm, own in zip(suites.tasks(f"{suite}@base"), catalog.pro_tasks(suite), strict=True):
            context = language_context(arm)
            (told,) = entries(context, "changed")
            assert told.text == own.instruction
            assert told.goal == (own.goal if suite.endswith("_task") else None)
            assert is_declared(told, context)
            assert all(word in arm.scenery.names for atom in own.goal for word in atom[1:])


def test_tasks_with_the_base_suites_words_have_its_reviewed_texts(pro):
    for suite in catalog.PRO_SUITES:
        base = catalog.base_suite(suite)
        for variant in (suite, f"{suite}@file-name"):
            for task in suites.tasks(variant):
                if task.instruction != libero_tasks(base)[task.index].instruction:
                    assert language_context(task).suite == variant
                    continue
                context = language_context(task)
                reviewed = texts(base, task.index)
                assert tuple(told.text for told in entries(context, "paraphrase")) == reviewed.paraphrases
                assert [told.text for told in entries(context, "lang:de")] == [reviewed.translations["de"]]


def test_the_table_shows_that_half_of_all_texts_differ(pro):
    table = call("list", "texts").out
    assert table.count(" 10 of 10 texts are not the suite's own") == len(PAIRED) == 8
    assert table.count(" 0 of 10 texts are not the suite's own") == 8
    assert "file-name  put the bowl on the stove\n" in table
    assert table.count("(the same)") == 80


def test_policies_that_know_the_base_suite_are_expected_to_know_the_change(pro):
    for suite in ("libero_goal_task", "libero_goal_lan@file-name"):
        config = EvalConfig(suite=suite, tasks="0", init_states="0")
        assert not [note for note in make_plan(config).notes if "nothing can be expected" in note]
        notes = make_plan(dataclasses.replace(config, policy="bundled")).notes
        assert [note for note in notes if note.endswith(f"nothing can be expected of it on {suite}")]


def first_view(suite, task=0):
    """A task's state and camera images in the bundled scenes, after settling."""
    env = make_env(suite, task, 128, BUNDLED)
    env.reset(ResetOptions(0, 0, 10))
    seen = env.state(), env.observe().images
    env.close()
    return seen


@pytest.mark.parametrize("suite", ["libero_spatial_lan", "libero_spatial_task"])
def test_both_arms_start_in_the_same_scene(suite, pro):
    (state, images), (base_state, base_images) = first_view(suite), first_view(f"{suite}@base")
    assert np.array_equal(state, base_state)
    assert all(np.array_equal(images[camera], base_images[camera]) for camera in images)


def test_swapped_places_are_visible(pro):
    base, swapped = (
        first_view(suite)[1]["agentview"].astype(int) for suite in ("libero_spatial", "libero_spatial_swap")
    )
    moved = np.abs(base - swapped).max(axis=-1) > 40
    red = [(image[..., 0] > image[..., 1] + 60) & (image[..., 0] > image[..., 2] + 60) for image in (base, swapped)]
    box = [np.argwhere(mask).mean(axis=0) for mask in red]
    assert moved.mean() > 0.02
    assert box[0][1] - box[1][1] > 10, "the box is to the left of where it was"
