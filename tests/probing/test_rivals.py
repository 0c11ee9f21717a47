"""Does what is kept predict the loss? Found where it was planted, nowhere else, and never from few policies."""

from types import SimpleNamespace

import pytest
from inside import CONDITIONS, world

from simeval.probing.rivals import DRIFT, KEPT, rival_study


def by_predictor(study, question="over policies"):
    return {row.predictor: row for row in study.rivals if row.question == question}


@pytest.mark.parametrize("planted", [KEPT, DRIFT])
def test_what_was_planted_predicts_and_its_rivals_cannot_tell(planted):
    rows = by_predictor(rival_study(*world(21, 7, planted=planted)))
    assert rows[planted].says == "predicts the loss"
    assert rows[planted].rho > 0.8
    assert rows[planted].interval.low > 0
    assert {row.says for name, row in rows.items() if name != planted} == {"cannot tell"}


def test_where_nothing_was_planted_nothing_predicts():
    said = [row.says for seed in range(6) for row in rival_study(*world(12, 4, planted="", seed=seed)).rivals]
    assert said.count("predicts the loss") <= 1


def test_few_policies_cannot_tell_and_say_so():
    rows = by_predictor(rival_study(*world(2, 2, planted=KEPT)))
    assert {row.says for row in rows.values()} == {"cannot tell"}
    assert all("too few policies: 2" in row.reason for row in rows.values())


def test_conditions_that_change_the_meaning_and_trivial_points_are_left_out():
    study = rival_study(*world(12, 4, planted=KEPT))
    assert [name for name, _ in study.left_out] == ["instruction:empty"]
    assert {point.condition for point in study.points} == set(CONDITIONS) - {"instruction:empty"}
    rows = by_predictor(study)
    assert (rows[KEPT].units, rows[KEPT].families, rows[KEPT].within) == (12, 4, 5)
    assert rows[DRIFT].within == 4, "clean frames have no drift"
    conditions = by_predictor(study, "over conditions")[KEPT]
    assert (conditions.units, conditions.families, conditions.within) == (4, 3, 13)
    start = next(point for point in study.points if (point.policy, point.condition) == ("start", "noise:0.1"))
    assert (start.loss, start.probes_lost) == (0, 0)


def test_a_study_of_other_policies_has_no_answer():
    found, suite = world(3, 3, planted=KEPT)
    assert rival_study(found, SimpleNamespace(suite="toy", policies=suite.policies[:1])) is None
    assert rival_study(found, SimpleNamespace(suite="other", policies=suite.policies)) is None
