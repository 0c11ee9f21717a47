"""What a node is asked for, and what is said about one that differs."""

import dataclasses
import shutil

import pytest

from envs.assets import BUNDLED
from simeval.core import provenance
from simeval.core.errors import ConfigError
from simeval.policies.registry import PolicyChoice
from simeval.runner.nodes import NodeFacts, Nodes, Requirements, look, mismatch, needs_of

BUNDLED_NEEDS = Requirements(BUNDLED, provenance.folder_digest(BUNDLED), None, draws=False)


def test_a_node_like_this_one_fits():
    here = look(BUNDLED_NEEDS)
    assert here.missing is None
    assert here.assets == BUNDLED.resolve()
    assert mismatch(here, look(BUNDLED_NEEDS)) is None


def test_every_value_that_differs_is_named_with_both_sides():
    here = NodeFacts((("mujoco", "3.3.2"), ("numpy", "2.2.6"), ("OpenGL", "egl: a GPU")))
    there = NodeFacts((("mujoco", "3.3.1"), ("numpy", "2.2.6"), ("OpenGL", "egl: llvmpipe")))
    said = mismatch(here, there)
    assert said is not None
    assert said.startswith("mujoco 3.3.1, here 3.3.2; OpenGL egl: llvmpipe, here egl: a GPU; every node needs")
    assert "numpy" not in said


def test_what_a_policy_does_not_use_is_not_compared(tiny_smolvla):
    zero, seeker = (needs_of(PolicyChoice(name), None) for name in ("zero", "seeker"))
    assert (zero.draws, seeker.draws) == (False, True)
    assert "OpenGL" not in dict(look(zero).values)
    assert "OpenGL" in dict(look(seeker).values)
    assert "torch" not in dict(look(seeker).values)
    learned = look(needs_of(PolicyChoice(str(tiny_smolvla)), None))
    assert {"torch", "lerobot", f"checkpoint {tiny_smolvla}"} <= dict(learned.values).keys()


def test_scenes_are_found_by_what_they_contain(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SIMEVAL_LIBERO_ASSETS", raising=False)
    mine = shutil.copytree(BUNDLED, tmp_path / "mine")
    (mine / "more.txt").write_text("mine")
    elsewhere = tmp_path / "not-on-this-node"
    needs = Requirements(elsewhere, provenance.folder_digest(mine), None, draws=False)
    assert look(needs).missing == (
        f"no scenes with the contents of {elsewhere} (digest {needs.scenes}); "
        "copy them there, or set SIMEVAL_LIBERO_ASSETS before ray start"
    )
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", str(mine))
    assert look(needs).assets == mine.resolve()
    # The same files as the bundled ones, under whatever name.
    assert look(dataclasses.replace(needs, scenes=BUNDLED_NEEDS.scenes)).assets == BUNDLED.resolve()


def test_a_checkpoint_of_the_same_name_with_other_weights_is_told_apart(tiny_smolvla, tmp_path):
    folder = shutil.copytree(tiny_smolvla, tmp_path / "policy")
    needs = needs_of(PolicyChoice(str(folder)), None)
    here = look(needs)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    said = mismatch(here, look(needs))
    assert said is not None
    assert said.startswith(f"checkpoint {folder} ")
    shutil.rmtree(folder)
    assert mismatch(here, look(needs)) == look(needs).missing
    assert "no such folder" in str(look(needs).missing)


def test_a_driver_that_lacks_something_itself_is_refused():
    with pytest.raises(ConfigError, match="no such folder"):
        Nodes(Requirements(None, None, "/no/such/checkpoint", draws=False))
