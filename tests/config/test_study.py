"""A study's YAML: what it means, and the one line that refuses what is wrong."""

from pathlib import Path

import pytest

from simeval.config.study import study_from_mapping
from simeval.core.errors import ConfigError

GIVEN = {
    "suite": "toy",
    "init_states": "0-1",
    "perturb": ["noise:0.3"],
    "n_action_steps": 5,
    "audit": {"perturb": ["noise:0.1", "instruction:empty"], "seeds": [0, 1]},
    "policies": {
        "a-0": {"policy": "seeker", "group": "a", "seed": 0},
        "a-1": {"policy": "seeker", "group": "a", "seed": 1, "n_action_steps": 2},
        "b": {"policy": "zero"},
    },
}


def changed(**values):
    return {**GIVEN, **values}


def policies(**values):
    return changed(policies={**GIVEN["policies"], **values})


def test_all_policies_share_the_settings_and_may_differ_in_their_own():
    study = study_from_mapping(GIVEN, Path("out"))
    assert [(one.name, one.group, one.seed) for one in study.policies] == [
        ("a-0", "a", 0),
        ("a-1", "a", 1),
        ("b", "b", None),
    ]
    assert [one.run.policy for one in study.policies] == ["seeker", "seeker", "zero"]
    assert [one.run.n_action_steps for one in study.policies] == [5, 2, 5]
    assert {(one.run.suite, one.run.init_states, one.run.perturb) for one in study.policies} == {
        (("toy",), "0-1", ("noise:0.3",))
    }
    assert [one.run.out for one in study.policies] == ["out/a-0", "out/a-1", "out/b"]
    assert study.baseline == "a"


def test_the_audit_is_the_same_for_all_and_lies_in_each_run():
    study = study_from_mapping(GIVEN, Path("out"))
    audits = [one.audit for one in study.policies]
    assert [(one.run, one.out) for one in audits] == [(f"out/{n}", f"out/{n}/audit") for n in ("a-0", "a-1", "b")]
    assert {(one.perturb, one.seeds) for one in audits} == {(("noise:0.1", "instruction:empty"), "0,1")}
    assert [one.n_action_steps for one in audits] == [5, 2, 5]
    without = {name: value for name, value in GIVEN.items() if name != "audit"}
    assert all(one.audit is None for one in study_from_mapping(without, Path("out")).policies)
    assert all(one.audit is not None for one in study_from_mapping(changed(audit={}), Path("out")).policies)


def test_the_look_inside_is_that_of_the_studys_folder():
    assert study_from_mapping(GIVEN, Path("out")).representation is None
    made = study_from_mapping(changed(representation={"max-frames": 9, "frames": "start"}), Path("out")).representation
    assert (made.source, made.folder, made.max_frames, made.policies) == ("out", Path("out/representation"), 9, ())
    assert study_from_mapping(changed(representation={}), Path("out")).representation.frames == "replay"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (changed(polices={}), "polices: no such setting; did you mean 'policies'?"),
        (changed(policy="zero"), "policy: each policy has its own, below policies"),
        (changed(until="decided"), "until: is no setting of a study"),
        (changed(suite="toyy"), "toyy"),
        (changed(workers="many"), "--workers: 'many' is not a whole number"),
        (changed(policies=None), "policies: must hold NAME:"),
        (changed(policies=["a", "b"]), "policies: must hold NAME:"),
        (changed(policies={"a": {"policy": "zero"}}), "policies: 1 given; a study compares two or more"),
        (changed(baseline="c"), "baseline: no group 'c'; known: a, b"),
        (changed(audit=["noise:0.1"]), "audit: must hold settings"),
        (changed(audit={"run": "x"}), "run: no such setting"),
        (changed(audit={"recipe": "maxi"}), "audit: --recipe: no 'maxi'"),
        (policies(c="zero"), "policies.c: must hold settings: policy, group, seed, n_action_steps"),
        (policies(c={"group": "a"}), "policies.c.policy: name a folder"),
        (policies(c={"policy": "zero", "sede": 1}), "policies.c.sede: no such setting; did you mean 'seed'?"),
        (policies(c={"policy": "zero", "seed": "one"}), "policies.c.seed: 'one' is not a whole number"),
        (policies(c={"policy": "zero", "seed": True}), "policies.c.seed: 'True' is not a whole number"),
        (policies(c={"policy": "zero", "seed": -1}), "policies.c.seed -1: must be in [0, 2**63)"),
        (policies(c={"policy": "zero", "group": []}), "policies.c.group: '[]' is not a name"),
        (policies(c={"policy": "zero", "init_states": "0-4"}), "policies.c.init_states: no such setting"),
        (policies(c={"policy": "zero", "group": "a", "seed": 1}), "policies.c.seed: a-1 of group a has seed 1, too"),
        (policies(c={"policy": "zero", "device": "tpu"}), "policies.c: --device: no 'tpu'"),
        (policies(**{"../c": {"policy": "zero"}}), "policies.../c: is the name of a folder"),
        (policies(report={"policy": "zero"}), "policies.report: is the name of a folder"),
        (changed(representation=None), "representation: has no value; leave the line out for none, or write {}"),
        (changed(representation=[1]), "representation: must hold settings: perturb, frames"),
        (changed(representation={"policies": "x"}), "representation.policies: no such setting"),
        (changed(representation={"max_frames": 0}), "representation: --max-frames 0: must be in [1, "),
        (changed(representation={}, traces="failures"), "representation.frames: replay needs traces: all"),
        (policies(B={"policy": "zero"}), "policies.B: another policy is called b"),
        (policies(representation={"policy": "zero"}), "policies.representation: is the name of a folder"),
        (policies(**{"a" * 300: {"policy": "zero"}}), "this name has 300 letters; write 1 to 100"),
        (changed(policies={1: {"policy": "zero"}, "b": {}}), "policies.1: YAML reads this name as a number; put it in"),
        (changed(policies={True: {"policy": "zero"}, "b": {}}), "policies.True: YAML reads this name as true or false"),
        (changed(policies={None: {"policy": "zero"}, "b": {}}), "policies.None: YAML reads this name as no text"),
        (changed(audit=None), "audit: has no value; leave the line out for no audit, or write {} for an audit"),
        (changed(perturb=None), "perturb: has no value; write one, or leave the line out"),
        (changed(baseline=None), "baseline: has no value; leave the line out for the group of the first policy"),
        (changed(out=None), "out: has no value"),
        (changed(audit={"perturb": None}), "audit: perturb: has no value"),
        (policies(c={"policy": "zero", "seed": None}), "policies.c.seed: has no value"),
        (changed(workers=-1), "--workers -1: must be in [0, 1024]"),
        (changed(workers=5000), "--workers 5000: must be in [0, 1024]"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(given, words):
    with pytest.raises(ConfigError) as refused:
        study_from_mapping(given, Path("out"))
    text = str(refused.value)
    assert words in text
    assert "\n" not in text
