"""A search for a bad condition: what it may try, what its episodes are for, what it names, and that its word holds."""

import random
from collections import Counter

import numpy as np
import pytest
from worst_worlds import (
    SETTINGS,
    flat,
    manifest_of,
    planted,
    played,
    point_of,
    search,
    smooth,
    success_at_random,
    table,
)

from perturbations.spec import parse
from simeval.analysis.worst import confirmation, worst
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.config.worst import CLEAN_FIRST, from_record, worst_config
from simeval.config.worst_placement import HOPELESS, WorstPlacement, place_of
from simeval.config.worst_space import COARSEST, FINEST, MOST, space_of
from simeval.core.errors import ConfigError
from simeval.core.types import CLEAN


class TestSpace:
    def test_strengths_alone_and_combined(self):
        space = space_of(("noise", "light:..0.2"), 2)
        sizes = Counter(len(one.axes) for one in space.candidates)
        assert sizes == {1: 2 * FINEST, 2: FINEST**2}
        assert all(str(parse(one.condition)) == one.condition for one in space.candidates)
        assert max(one.point for one in space.candidates) == (1.0, 1.0)
        assert len({one.condition for one in space.candidates}) == len(space.candidates)

    def test_a_range_may_lie_on_both_sides(self):
        space = space_of(("camera.orbit:-30..20",), 1)
        shares = {one.condition: one.point[0] for one in space.candidates}
        assert shares["camera.orbit:-30"] == -1
        assert shares["camera.orbit:20"] == 1
        assert "camera.orbit:0" not in shares

    def test_two_modes_of_an_axis_are_alternatives(self):
        space = space_of(("noise", "noise/mode=static", "light"), 2)
        conditions = {one.condition for one in space.candidates}
        assert "noise:0.1/mode=static" in conditions
        assert not [text for text in conditions if text.count("noise") > 1]
        assert any("light" in text and "static" in text for text in conditions)

    def test_more_axes_are_searched_more_coarsely(self):
        many = ("noise", "light", "occlusion", "fog", "brightness", "contrast")
        space = space_of(many, 2)
        assert len(space.candidates) <= MOST
        assert sum(len(one.axes) == 1 for one in space.candidates) < FINEST * len(many)
        with pytest.raises(ConfigError, match=rf"more than {MOST} conditions even with {COARSEST} strengths"):
            space_of((*many, "blur.gaussian", "saturation", "camera.orbit", "camera.fov"), 4)

    def test_a_manifest_gives_the_search_back(self):
        config = search()
        assert from_record(config.run, config.record()) == config


class TestPlacement:
    def test_the_planted_region_is_found_and_the_budget_kept(self):
        config = search(budget=300)
        placement, ran = played(config)
        assert planted(point_of(config)[placement.found]) == 0.85
        assert len(ran) == 300
        assert len({spec for spec, _ in ran}) == 300

    def test_what_runs_first_is_clean_then_at_random(self):
        config = search(budget=300)
        _, ran = played(config)
        first = [spec.condition for spec, _ in ran]
        assert first[:CLEAN_FIRST] == [CLEAN] * CLEAN_FIRST
        assert CLEAN not in first[CLEAN_FIRST : CLEAN_FIRST + config.size.searched]
        assert Counter(first)[CLEAN] == CLEAN_FIRST + config.size.confirm
        drawn = first[CLEAN_FIRST : CLEAN_FIRST + config.size.uniform]
        singles = sum("+" not in text for text in drawn)
        assert len(drawn) / 2 < singles < 5 / 6 * len(drawn)  # two of the three sets of axes are single ones

    def test_no_initial_state_of_the_confirmation_is_used_by_the_search(self):
        placement, ran = played(search(budget=300))
        fresh = {(spec.task, spec.init_state) for spec, _ in ran if place_of(spec) in placement.schedule.reserved}
        others = {(spec.task, spec.init_state) for spec, _ in ran if place_of(spec) not in placement.schedule.reserved}
        assert len(fresh) == 50
        assert not {state for _, state in fresh} & {state for _, state in others}
        pairs = Counter(spec.condition for spec, _ in ran if place_of(spec) in placement.schedule.reserved)
        assert pairs == {CLEAN: 50, placement.found: 50}

    def test_tasks_have_equal_shares(self):
        placement, ran = played(search(budget=300))
        searched = [spec.task for spec, _ in ran if place_of(spec) not in placement.schedule.reserved]
        counts = Counter(searched)
        assert max(counts.values()) - min(counts.values()) <= 2

    @pytest.mark.parametrize("stop", [3, 40, 120, 205, 260])
    def test_a_search_that_goes_on_is_the_undisturbed_one(self, stop):
        config = search(budget=300)
        _, whole = played(config)
        _, part = played(config, stop=stop)
        assert part == whole[:stop]
        again = WorstPlacement(config, make_plan(config.run))
        for spec, result in random.Random(1).sample(part, len(part)):
            again.record(spec, result)
        _, rest = played(config, placement=again)
        assert part + rest == whole

    @pytest.mark.parametrize("workers", [3, 16])
    def test_many_workers_find_it_too(self, workers):
        config = search(budget=300)
        placement, ran = played(config, workers=workers)
        assert planted(point_of(config)[placement.found]) == 0.85
        assert len({spec for spec, _ in ran}) == len(ran) == 300

    def test_the_confirmation_waits_for_the_search(self):
        config = search(budget=150, confirm=20)
        placement = WorstPlacement(config, make_plan(config.run))
        waiting = []
        while spec := placement.next():
            waiting.append(spec)
        assert len(waiting) == CLEAN_FIRST + config.size.searched
        assert not any(place_of(spec) in placement.schedule.reserved for spec in waiting)
        for spec in waiting[:-1]:
            placement.record(spec, "success")
        assert placement.next() is None
        placement.record(waiting[-1], "success")
        assert place_of(placement.next()) in placement.schedule.reserved

    def test_an_episode_of_a_dead_worker_runs_again(self):
        config = search(budget=150, confirm=20)
        placement = WorstPlacement(config, make_plan(config.run))
        spec = placement.next()
        placement.requeue(spec)
        assert placement.running == 0
        assert placement.next() == spec
        placement.requeue(spec)
        _, ran = played(config, placement=placement)
        assert len(ran) == 150

    def test_a_condition_that_cannot_be_made_is_given_up(self):
        config = search("noise", budget=150, confirm=20)
        placement = WorstPlacement(config, make_plan(config.run))
        broken = 0
        while spec := placement.next():
            bad = spec.condition == "noise:0.9"
            broken += bad
            placement.record(spec, "error" if bad else "success" if spec.condition == CLEAN else "failure")
        drawn = sum(config.space.candidates[n].condition == "noise:0.9" for n, _ in placement.schedule.uniform)
        assert broken <= max(drawn, HOPELESS)
        assert placement.found != "noise:0.9"

    def test_a_policy_that_never_succeeds_has_no_bad_condition(self):
        config = search()
        placement = WorstPlacement(config, make_plan(config.run))
        for _ in range(CLEAN_FIRST):
            placement.record(placement.next(), "failure")
        assert placement.is_hopeless
        assert placement.next() is None

    def test_another_seed_has_other_fresh_states(self):
        reserved = [
            WorstPlacement(config, make_plan(config.run)).schedule.reserved
            for config in (search(settings={"seed": seed}) for seed in (0, 1))
        ]
        assert reserved[0] != reserved[1]

    def test_too_few_initial_states_are_refused(self):
        config = search(settings={"init_states": "0-4"})
        with pytest.raises(ConfigError, match=r"--confirm 50: needs \d+ initial states of each task .* of 5"):
            WorstPlacement(config, make_plan(config.run))


class TestWhatIsSaid:
    def test_the_rate_is_of_the_fresh_pairs_alone(self):
        config = search(budget=300)
        placement, ran = played(config)
        found = worst(manifest_of(config), table(ran))
        fresh = [(s, r) for s, r in ran if place_of(s) in placement.schedule.reserved]
        succeeded = Counter(spec.condition for spec, result in fresh if result == "success")
        of_task = Counter((spec.task, spec.condition) for spec, result in fresh if result == "success")
        pairs = Counter(spec.task for spec, _ in fresh if spec.condition == CLEAN)
        drops = [(of_task[task, CLEAN] - of_task[task, placement.found]) / n for task, n in pairs.items()]
        assert set(pairs.values()) == {12, 13}  # 50 pairs of four tasks
        assert found.condition == placement.found
        assert found.confirmation.rate.successes == succeeded[placement.found]
        assert found.confirmation.clean.successes == succeeded[CLEAN]
        assert found.confirmation.pairs == 50
        assert found.confirmation.drop == pytest.approx(np.mean(drops))
        assert found.is_complete
        at_random = [r for _, r in ran[CLEAN_FIRST : CLEAN_FIRST + config.size.uniform]]
        assert (found.uniform.successes, found.uniform.episodes) == (at_random.count("success"), len(at_random))
        assert (
            found.in_search.episodes
            == placement.posterior.counts(
                next(i for i, one in enumerate(config.space.candidates) if one.condition == found.condition)
            )[1]
        )
        assert found.searched == config.size.searched
        assert len(confirmation(manifest_of(config), table(ran))) == 100

    def test_the_order_of_rows_does_not_matter(self):
        config = search(budget=200, confirm=30)
        _, ran = played(config)
        mixed = random.Random(1).sample(ran, len(ran))
        assert worst(manifest_of(config), table(ran)) == worst(manifest_of(config), table(mixed))

    @pytest.mark.parametrize("stop", [5, 60, 160])
    def test_before_it_has_ended_it_says_so(self, stop):
        config = search(budget=200, confirm=30)
        found = worst(manifest_of(config), table(played(config, stop=stop)[1]))
        assert not found.is_complete
        assert ("no condition" in found.text) == (stop == 5)
        assert ("not confirmed yet" in found.text) == (stop == 60)

    def test_a_pair_that_cannot_be_made_is_no_missing_one(self):
        config = search(budget=200, confirm=30)
        placement, ran = played(config)
        fresh = [i for i, (spec, _) in enumerate(ran) if place_of(spec) in placement.schedule.reserved]
        last = next(i for i in reversed(fresh) if ran[i][0].condition == placement.found)
        for result, complete in (("infeasible", True), ("error", False)):
            ran[last] = (ran[last][0], result)
            found = worst(manifest_of(config), table(ran))
            assert (found.is_complete, found.confirmation.pairs, found.errors) == (complete, 29, 1)

    def test_another_run_has_none(self):
        assert worst({"config": {}}, table(played(search(budget=160), stop=3)[1])) is None


@pytest.mark.slow
@pytest.mark.parametrize("world", [planted, smooth, flat], ids=lambda world: world.__name__)
def test_the_confirmation_covers_and_the_search_itself_would_not(world):
    """Over 500 searches; in a flat world every find is luck, and its rate in the search is below the truth."""
    covered, drops, uniform, lucky = [], [], [], []
    for seed in range(500):
        config = search(budget=300, settings={"seed": seed})
        _, ran = played(config, world, seed=seed)
        found = worst(manifest_of(config), table(ran))
        truth = 1 - world(point_of(config)[found.condition])
        rate = found.confirmation.rate
        covered.append(rate.low <= truth <= rate.high)
        drops.append(found.confirmation.low <= 0.95 - truth <= found.confirmation.high)
        lucky.append(found.in_search.rate - truth)
        uniform.append(found.uniform.low <= success_at_random(config, world) <= found.uniform.high)
    assert np.mean(covered) >= 0.93
    assert np.mean(drops) >= 0.93
    assert np.mean(uniform) >= 0.92
    assert np.mean(lucky) < -0.03


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"budget": 100},
            "--budget 100: 10 clean episodes and 50 confirming pairs leave 0 for the search",
        ),
        ({"confirm": 3}, "--confirm 3: must be in"),
        ({"combine": 0}, "--combine 0: must be in"),
        ({"settings": {"suite": ["toy", "libero_goal"]}}, "a search is of one suite"),
        ({"settings": {"until": "decided"}}, "--until: not for worst"),
        ({"settings": {"video": "all"}}, "--video all: not for worst"),
    ],
)
def test_what_makes_no_sense_is_refused(own, message):
    with pytest.raises(ConfigError, match=message):
        search(**own)


@pytest.mark.parametrize(
    ("perturb", "message"),
    [
        ((), "name an axis"),
        (("noise", "noise:0..0.5"), "noise: given twice"),
        (("instruction",), "takes words"),
        (("nose",), "did you mean 'noise'"),
        (("noise:0..7",), "value must be in"),
        (("camera.orbit:-500..20",), "value must be in"),
    ],
)
def test_an_axis_that_cannot_be_searched_is_refused(perturb, message):
    with pytest.raises(ConfigError, match=message):
        worst_config(perturb, SETTINGS)


def test_the_defaults_are_those_of_a_run():
    assert search().run == EvalConfig(suite=("toy",), init_states="0-39", workers=0, perturb=tuple(point_of(search())))
