"""Random streams: a function of the pair and the purpose, of nothing else."""

from itertools import combinations

import numpy as np
import pytest
from helpers import toy_spec
from msgspec.structs import replace

from simeval.core.seeding import PairStreams

SPEC = toy_spec(task=1, init_state=4, repeat=2, root_seed=7)


def draw(spec=SPEC, name="noise", camera="agentview", step=3) -> bytes:
    return PairStreams.of(spec).generator(name, camera, step).standard_normal(8).tobytes()


def test_the_same_purpose_draws_the_same_numbers_whatever_was_drawn_before():
    streams = PairStreams.of(SPEC)
    streams.generator("noise", "wrist", 3).random(1000)
    streams.policy_seed(5)
    np.random.default_rng(0).random(10)
    assert streams.generator("noise", "agentview", 3).standard_normal(8).tobytes() == draw()


@pytest.mark.parametrize(
    "change",
    [
        {"condition": "noise:0.5"},
        {"max_steps": 10},
        {"settle_steps": 5},
        {"resolution": 64},
        {"env_seed": 3},
    ],
)
def test_what_is_no_part_of_the_pair_changes_no_draw(change):
    other = replace(SPEC, **change)
    assert draw(other) == draw()
    assert PairStreams.of(other).policy_seed(0) == PairStreams.of(SPEC).policy_seed(0)


def test_every_other_purpose_and_pair_has_its_own_numbers():
    specs = [
        replace(SPEC, **change)
        for change in ({"root_seed": 8}, {"suite": "libero_10"}, {"task": 2}, {"init_state": 5}, {"repeat": 0})
    ]
    draws = [draw(), draw(name="occlusion"), draw(camera="wrist"), draw(camera=""), draw(step=4), *map(draw, specs)]
    assert all(one != other for one, other in combinations(draws, 2))


def test_policy_seeds_differ_by_chunk_and_fit_a_signed_integer():
    seeds = [PairStreams.of(replace(SPEC, init_state=i)).policy_seed(chunk) for i in range(20) for chunk in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert all(isinstance(seed, int) for seed in seeds)


def test_the_largest_root_seed_works():
    assert draw(replace(SPEC, root_seed=2**63 - 1)) != draw()


def test_streams_are_what_they_were_when_runs_were_stored():
    """Another value here means that stored runs can no longer be resumed or replayed."""
    assert PairStreams.of(toy_spec()).policy_seed(0) == POLICY_SEED
    assert PairStreams.of(toy_spec()).generator("noise", "agentview", 0).integers(2**31) == NOISE_DRAW


POLICY_SEED = 5029835930303559792
NOISE_DRAW = 144890485
