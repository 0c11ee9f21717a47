"""Which episode a worker runs next: in rounds over the tasks, with few changes of scene."""

import itertools
from collections import Counter

import pytest

from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core.rounds import in_rounds
from simeval.runner.queue import BATCH, EpisodeQueue


def episodes(perturb=(), **settings):
    return make_plan(EvalConfig(suite=("libero_goal",), perturb=perturb, workers=0, **settings)).episodes


def handed_out(plan, workers):
    """All episodes in the order in which workers that are equally fast get them, and by worker."""
    queue, last, order = EpisodeQueue(plan), [None] * workers, []
    by_worker = [[] for _ in range(workers)]
    while True:
        for worker in range(workers):
            spec = queue.next(last[worker])
            if spec is None:
                return order, by_worker
            last[worker] = spec
            order.append(spec)
            by_worker[worker].append(spec)


def changes(specs):
    return sum((a.suite, a.task) != (b.suite, b.task) for a, b in itertools.pairwise(specs))


@pytest.mark.parametrize("workers", [1, 2, 7, 16])
@pytest.mark.parametrize("perturb", [(), ("noise:0.1",), ("noise:0.1,0.2,0.3", "light:0.1,0.2,0.3")])
def test_every_prefix_is_about_the_same_tasks(workers, perturb):
    plan = episodes(perturb)
    order, by_worker = handed_out(plan, workers)
    assert Counter(order) == Counter(plan)
    ahead = BATCH + len(perturb) * 6
    for end in range(0, len(order), 25):
        counts = Counter(spec.task for spec in order[:end])
        # At most the batches of the workers are ahead of the rest.
        assert max(counts.values(), default=0) - min(counts[task] for task in range(10)) <= 2 * ahead
    # A change for every batch, and at the end a few by workers that help.
    assert sum(map(changes, by_worker)) <= len(order) / BATCH + 4 * workers


def test_a_worker_stays_with_its_task_if_nobody_else_needs_it():
    """As many workers as tasks: no scene is ever built a second time."""
    _, by_worker = handed_out(episodes(), 10)
    assert [changes(specs) for specs in by_worker] == [0] * 10


def test_workers_without_a_batch_help():
    plan = episodes(init_states="0-9", tasks="3")
    _, by_worker = handed_out(plan, 4)
    assert {len(specs) for specs in by_worker} <= {2, 3}


def test_an_episode_whose_worker_died_is_next():
    specs = episodes(init_states="0-2", tasks="0")
    queue = EpisodeQueue(specs)
    first = queue.next(None)
    queue.next(first)
    queue.requeue(first)
    assert [queue.next(None), queue.next(None), queue.next(None)] == [first, specs[2], None]


def test_a_worker_from_before_gets_what_there_is():
    """Its last episode had an initial state that none of these has."""
    queue = EpisodeQueue(episodes(init_states="0", tasks="1"))
    assert queue.next(episodes(init_states="7", tasks="2")[0]).task == 1
    assert queue.next(None) is None


def test_rounds_have_every_task_once_in_an_order_of_their_own():
    plan = episodes(init_states="3-5", perturb=("noise:0.1",), repeats=2)
    order = in_rounds(plan)
    rounds = [order[i : i + 40] for i in range(0, 120, 40)]
    assert [{spec.init_state for spec in specs} for specs in rounds] == [{3}, {4}, {5}]
    tasks = [tuple(dict.fromkeys(spec.task for spec in specs)) for specs in rounds]
    assert all(sorted(found) == list(range(10)) for found in tasks)
    assert len(set(tasks)) == 3
    assert in_rounds(reversed(plan)) != order  # within a pair the order is the caller's
    assert [spec.pair_id for spec in in_rounds(plan[:40])] == [spec.pair_id for spec in order if spec in set(plan[:40])]
    assert in_rounds(episodes(init_states="3-5", seed=1))[0].task != order[0].task or (
        in_rounds(episodes(init_states="3-5", seed=2))[0].task != order[0].task
    )


def test_what_is_not_left_is_passed_over_and_batches_stay_those_of_the_plan():
    plan = episodes(("noise:0.1",))
    whole, _ = handed_out(plan, 1)
    done = set(whole[:137]) | set(whole[300:444])
    queue, spec, rest = EpisodeQueue(plan, lambda spec: spec not in done), None, []
    while spec := queue.next(spec):
        rest.append(spec)
    assert rest == [spec for spec in whole if spec not in done]
    assert not queue


def test_what_is_left_is_asked_when_its_turn_comes():
    stopped, order, spec = set(), [], None
    queue = EpisodeQueue(episodes(("noise:0.1",), init_states="0-9"), lambda spec: spec.condition not in stopped)
    while spec := queue.next(spec):
        order.append(spec.condition)
        if len(order) == 10:
            stopped.add("noise:0.1")
    assert Counter(order) == {"none": 100, "noise:0.1": 5}
