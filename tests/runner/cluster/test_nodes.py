"""What a node is asked for, and what is said about one that differs."""

import dataclasses
import shutil

import pytest
from helpers import hide_official_packages

from envs.assets import BUNDLED
from simeval.core import provenance
from simeval.core.errors import ConfigError
from simeval.policies.registry import PolicyChoice
from simeval.runner.nodes import NodeFacts, Nodes, Requirements, difference, inspect_node, requirements_of

BUNDLED_NEEDS = Requirements(BUNDLED, provenance.folder_digest(BUNDLED), None, renders=False)


def test_a_node_like_this_one_fits():
    here = inspect_node(BUNDLED_NEEDS)
    assert here.missing is None
    assert here.assets == BUNDLED.resolve()
    assert difference(here, inspect_node(BUNDLED_NEEDS)) is None


def test_every_value_that_differs_is_named_with_both_sides():
    here = NodeFacts((("mujoco", "3.3.2"), ("numpy", "2.2.6"), ("OpenGL", "egl: a GPU")))
    there = NodeFacts((("mujoco", "3.3.1"), ("numpy", "2.2.6"), ("OpenGL", "egl: llvmpipe")))
    said = difference(here, there)
    assert said is not None
    assert said.startswith("mujoco 3.3.1, here 3.3.2; OpenGL egl: llvmpipe, here egl: a GPU; every node needs")
    assert "numpy" not in said


def test_what_a_policy_does_not_use_is_not_compared(tiny_smolvla):
    zero, seeker = (requirements_of(PolicyChoice(name), None) for name in ("zero", "seeker"))
    assert (zero.renders, seeker.renders) == (False, True)
    assert "OpenGL" not in dict(inspect_node(zero).values)
    assert "OpenGL" in dict(inspect_node(seeker).values)
    assert "torch" not in dict(inspect_node(seeker).values)
    learned = inspect_node(requirements_of(PolicyChoice(str(tiny_smolvla)), None))
    assert {"torch", "lerobot", f"checkpoint {tiny_smolvla}"} <= dict(learned.values).keys()


def test_scenes_are_found_by_what_they_contain(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SIMEVAL_LIBERO_ASSETS", raising=False)
    hide_official_packages(monkeypatch, tmp_path / "hidden")
    mine = shutil.copytree(BUNDLED, tmp_path / "mine")
    (mine / "more.txt").write_text("mine")
    elsewhere = tmp_path / "not-on-this-node"
    needs = Requirements(elsewhere, provenance.folder_digest(mine), None, renders=False)
    assert inspect_node(needs).missing == (
        f"no scenes with the contents of {elsewhere} (digest {needs.scenes}); "
        "copy them there, or set SIMEVAL_LIBERO_ASSETS before ray start"
    )
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", str(mine))
    assert inspect_node(needs).assets == mine.resolve()
    # The same files as the bundled ones, under whatever name.
    assert inspect_node(dataclasses.replace(needs, scenes=BUNDLED_NEEDS.scenes)).assets == BUNDLED.resolve()


def test_a_checkpoint_of_the_same_name_with_other_weights_is_told_apart(tiny_smolvla, tmp_path):
    folder = shutil.copytree(tiny_smolvla, tmp_path / "policy")
    needs = requirements_of(PolicyChoice(str(folder)), None)
    here = inspect_node(needs)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    said = difference(here, inspect_node(needs))
    assert said is not None
    assert said.startswith(f"checkpoint {folder} ")
    shutil.rmtree(folder)
    assert difference(here, inspect_node(needs)) == inspect_node(needs).missing
    assert "no such folder" in str(inspect_node(needs).missing)


def test_a_driver_that_lacks_something_itself_is_refused():
    with pytest.raises(ConfigError, match="no such folder"):
        Nodes(Requirements(None, None, "/no/such/checkpoint", renders=False))
