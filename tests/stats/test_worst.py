"""The search for the condition that fails most: neighbours, where it looks next, what it names."""

import numpy as np
import pytest

from simeval.stats.worst import FailurePosterior, stream

LINE = [[share] for share in np.linspace(0.1, 1.0, 10)]


def filled(counts, points=LINE):
    """A posterior after `counts[i] = (successes, failures)` of condition `i`."""
    posterior = FailurePosterior(points)
    for index, (successes, failures) in counts.items():
        for _ in range(successes):
            posterior.add(index, success=True)
        for _ in range(failures):
            posterior.add(index, success=False)
    return posterior


def test_without_episodes_nothing_is_named():
    posterior = filled({})
    assert posterior.worst() is None
    assert posterior.means() == pytest.approx(np.full(10, 0.5))


def test_an_episode_counts_at_its_neighbours_too_and_less_with_the_distance():
    means = filled({4: (0, 5)}).means()
    assert means[4] > means[5] > means[6] > means[9] >= 0.5
    assert means[3] == pytest.approx(means[5])


def test_the_order_of_episodes_has_no_influence():
    first, second = FailurePosterior(LINE), FailurePosterior(LINE)
    for index, success in ((1, True), (7, False), (7, False)):
        first.add(index, success=success)
    for index, success in ((7, False), (1, True), (7, False)):
        second.add(index, success=success)
    assert first.means().tolist() == second.means().tolist()
    assert first.counts(7) == (0, 2)


def test_what_is_named_has_run():
    """Between two bad conditions lies one that looks as bad and never ran."""
    posterior = filled({3: (0, 9), 5: (0, 8), 0: (9, 0)})
    assert int(np.argmax(posterior.means())) in (3, 4, 5)
    assert posterior.worst() in (3, 5)


def test_the_search_looks_where_it_fails_and_beside_it():
    posterior = filled({i: (9, 0) if i != 6 else (0, 9) for i in range(10)})
    everything = np.ones(10, dtype=bool)
    chosen = [posterior.best_next(everything, stream(0, "choice", n)) for n in range(200)]
    counts = np.bincount(chosen, minlength=10)
    assert counts[6] > 80
    assert counts[5] + counts[7] > 40
    assert counts[:3].sum() < 20


def test_only_what_is_eligible_is_chosen():
    posterior = filled({6: (0, 9)})
    for only in ([0, 1], [9]):
        eligible = np.zeros(10, dtype=bool)
        eligible[only] = True
        assert {posterior.best_next(eligible, stream(0, "choice", n)) for n in range(30)} == set(only)


def test_a_choice_is_a_function_of_seed_purpose_and_number():
    draws = [stream(*key).random() for key in ((0, "choice", 1), (0, "choice", 1), (1, "choice", 1), (0, "uniform", 1))]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
