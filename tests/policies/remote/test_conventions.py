"""Cards: what they say is what is sent, to the byte where the model's own client is here; mistakes give one line."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from openpi_client import image_tools
from policy_servers import given
from robosuite.utils.transform_utils import quat2axisangle, quat2mat
from scipy.spatial.transform import Rotation

from envs.base import Observation
from envs.build import EnvCache
from envs.libero.files import resolve_assets
from simeval.core.errors import ConfigError
from simeval.policies.remote import translate
from simeval.policies.remote.conventions import ImageForm, card_file, catalog, names, read_convention
from simeval.policies.remote.state import COMPONENTS


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("shape", [(256, 256), (224, 224), (128, 128), (256, 320), (480, 640), (101, 37)])
def test_padding_equals_openpis_client_to_the_byte(shape):
    sent = translate.prepared(image(*shape), read_convention("openpi_libero").image)
    expected = image_tools.resize_with_pad(image(*shape), 224, 224)
    assert sent.dtype == np.uint8
    assert sent.shape == expected.shape
    assert sent.tobytes() == expected.tobytes()


def test_the_openpi_request_is_that_of_its_libero_client():
    """openpi's examples/libero/main.py, on LIBERO's raw images, and simeval's rotation of them."""
    raw, wrist = image(256, 256), image(256, 256)[::-1]
    flipped = {"agentview": raw[::-1, ::-1], "wrist": wrist[::-1, ::-1]}
    state = np.array([0.1, -0.2, 1.0, 3.1, 0.2, -0.1, 0.04, -0.04], np.float32)
    request = translate.request(
        read_convention("openpi_libero"), given(observation=Observation(flipped, state, 0), instruction="open it")
    )
    expected = {
        "observation/image": image_tools.convert_to_uint8(
            image_tools.resize_with_pad(np.ascontiguousarray(raw[::-1, ::-1]), 224, 224)
        ),
        "observation/wrist_image": image_tools.convert_to_uint8(
            image_tools.resize_with_pad(np.ascontiguousarray(wrist[::-1, ::-1]), 224, 224)
        ),
        "observation/state": np.concatenate((state[:3], state[3:6], state[6:])).astype(np.float64),
        "prompt": "open it",
    }
    assert request.keys() == expected.keys()
    for key, value in expected.items():
        assert np.array_equal(request[key], value)
        assert getattr(request[key], "dtype", None) == getattr(value, "dtype", None)


def test_the_state_is_liberos_own():
    """The axis-angle is robosuite's of the hand's quaternion, without a change of its sign."""
    envs = EnvCache(resolve_assets("bundled"))
    env = envs.get("libero_spatial", 0, 64)
    env.reset_to(env.sample_init_state(0), env_seed=0, settle_steps=0)
    data, arm = env.world.seen, env.world.arm
    w, x, y, z = data.xquat[arm.hand]
    sent = translate.request(read_convention("openpi_libero"), given(observation=env.observe()))
    expected = np.concatenate(
        [data.site_xpos[arm.site], quat2axisangle(np.array([x, y, z, w])), data.qpos[arm.fingers]]
    )
    np.testing.assert_allclose(sent["observation/state"], expected, atol=2e-6)


ROTATIONS = [
    (0.0, 0.0, 0.0),
    (0.3, -0.2, 0.1),
    (3.1, 0.2, -0.1),
    (-2.9, 1.3, 0.2),
    (4.2, -0.5, 0.3),
    (0, 0, 2 * math.pi),
]


@pytest.mark.parametrize("turn", ROTATIONS)
def test_forms_of_a_rotation(turn):
    state = np.array([1, 2, 3, *turn, 0.03, -0.01], np.float32)
    form = {name: component(state) for name, component in COMPONENTS.items()}
    rotation = Rotation.from_rotvec(state[3:6].astype(float))
    quaternion = form["quaternion_xyzw"]
    np.testing.assert_allclose(quat2mat(quaternion), rotation.as_matrix(), atol=1e-6)
    # Back to the same axis-angle: the quaternion has not changed its sign.
    if np.linalg.norm(turn) not in (0, pytest.approx(2 * math.pi)):
        np.testing.assert_allclose(quat2axisangle(quaternion.copy()), state[3:6], atol=1e-5)
    np.testing.assert_array_equal(form["quaternion_wxyz"], quaternion[[3, 0, 1, 2]])
    np.testing.assert_allclose(form["euler"], rotation.as_euler("xyz"), atol=1e-6)
    np.testing.assert_allclose(form["rotation_6d"], rotation.as_matrix()[:, :2].T.ravel(), atol=1e-6)
    assert [float(form[name][0]) for name in ("roll", "pitch", "yaw")] == form["euler"].tolist()
    assert form["gripper_width"] == pytest.approx(0.04)
    assert {name: len(value) for name, value in form.items()}["fingers"] == 2


def test_the_gr00t_request_is_nested_and_batched():
    request = translate.request(read_convention("gr00t_libero"), given(instruction="Open it"))
    assert {key: list(value) for key, value in request.items()} == {
        "video": ["image", "wrist_image"],
        "state": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"],
        "language": ["annotation.human.action.task_description"],
    }
    assert request["video"]["image"].shape == (1, 1, 64, 64, 3)
    assert request["state"]["gripper"].shape == (1, 1, 2)
    assert request["language"]["annotation.human.action.task_description"] == [["Open it"]]


def test_joined_actions_and_a_binary_gripper():
    card = read_convention("gr00t_libero")
    answer = {key: np.full((1, 16, 1), index / 10, np.float32) for index, key in enumerate(card.actions.keys)}
    answer["gripper"] = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 16, 1)
    chunk = translate.actions(card, answer)
    assert chunk.shape == (16, 7)
    np.testing.assert_allclose(chunk[3, :6], np.arange(6) / 10, atol=1e-6)
    # openvla-oft: 2 v - 1, its sign, times -1; 1 is open there, and -1 here.
    assert chunk[:, 6].tolist() == [1.0] * 8 + [-1.0] * 8
    with pytest.raises(translate.AnswerError, match=r"do not fit together: \(\), \(\)"):
        translate.actions(card, dict.fromkeys(card.actions.keys, 0.5))
    with pytest.raises(translate.AnswerError, match="do not fit together"):
        translate.actions(card, answer | {"x": np.zeros((1, 15, 1))})


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ({}, 0.3, 0.3),
        ({"gripper_open": 1, "gripper_closed": 0}, 0.75, -0.5),
        ({"gripper_open": 1, "gripper_closed": -1}, 0.3, -0.3),
        ({"gripper_open": 0, "gripper_closed": 1}, 0.5, 0.0),
        ({"gripper_open": 0.08, "gripper_closed": 0}, 0.08, -1.0),
        ({"gripper_binary": True}, 0.3, 1.0),
    ],
)
def test_range_and_sign_of_the_gripper(form, value, expected):
    card = read_convention("openpi_libero")
    card = replace(card, actions=replace(card.actions, **form))
    chunk = translate.actions(card, {"actions": [[0.1] * 6 + [value]]})
    assert chunk[0, 6] == pytest.approx(expected)
    assert chunk[0, :6].tolist() == [np.float32(0.1)] * 6


def test_orientation_resizing_and_crop():
    plain = image(64, 48)
    assert np.array_equal(translate.prepared(plain, ImageForm(orientation="raw")), plain[::-1, ::-1])
    assert np.array_equal(translate.prepared(plain, ImageForm()), plain)
    assert translate.prepared(plain, ImageForm(size=32, resize="stretch", filter="lanczos")).shape == (32, 32, 3)
    padded = translate.prepared(np.full((64, 32, 3), 9, np.uint8), ImageForm(size=32))
    assert padded[:, :8].max() == padded[:, 24:].max() == 0
    assert padded[:, 8:24].min() == 9
    gradient = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (100, 1, 3))
    cropped = translate.prepared(gradient, ImageForm(crop=0.64))
    assert cropped.shape == gradient.shape
    assert abs(int(cropped[50, 0, 0]) - 10) <= 1
    assert abs(int(cropped[50, -1, 0]) - 89) <= 1


def test_the_instruction_and_constants(tmp_path):
    card = yaml.safe_load(card_file("openvla_libero").read_text())
    card["instruction"]["template"] = "In: {instruction_lower}? Out:"
    card["constants"] = {"unnorm_key": "libero_goal", "steps": 10}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(card))
    mine = read_convention(str(file))
    request = translate.request(mine, given(instruction="Open THE drawer"))
    assert request["instruction"] == "In: open the drawer? Out:"
    assert (request["unnorm_key"], request["steps"]) == ("libero_goal", 10)
    assert mine.name == "mine"


def test_the_catalog():
    assert dict(catalog()).keys() == set(names()) >= {"openpi_libero", "openvla_oft_libero", "gr00t_libero", "simeval"}
    assert all(text and text.isprintable() for _, text in catalog())


def test_a_copied_card_has_the_digest_of_the_card(tmp_path):
    copy = tmp_path / "copy.yaml"
    for name in names():
        copy.write_text(card_file(name).read_text())
        assert read_convention(str(copy)).digest == read_convention(name).digest
    copy.write_text(card_file("openpi_libero").read_text().replace("executed: 5", "executed: 6"))
    assert read_convention(str(copy)).digest != read_convention("openpi_libero").digest


MISTAKES = {
    "unknown key": ({"imges": {}}, "no key 'imges'; did you mean 'images'?"),
    "unknown camera": ({"images": {"front": "image"}}, "images: no key 'front'"),
    "camera's key": ({"images": {"wrist": 3}}, "images.wrist: a text, not 3"),
    "size": ({"image": {"size": 0}}, "image.size: a whole number from 16 to 4096, not 0"),
    "size is true": ({"image": {"size": True}}, "image.size: a whole number"),
    "orientation": ({"image": {"orientation": "upsidedown"}}, "image.orientation: no 'upsidedown'"),
    "resize": ({"image": {"resize": "pads"}}, "image.resize: no 'pads'; did you mean 'pad'?"),
    "crop": ({"image": {"crop": 1.5}}, "image.crop: a number from 0.1 to 1, not 1.5"),
    "component": ({"state": {"state": ["axisangle"]}}, "no component 'axisangle'; did you mean 'axis_angle'?"),
    "component is a list": ({"state": {"state": [["x"]]}}, "no component"),
    "no components": ({"state": {"state": "position"}}, "state.state: a list of components, not position"),
    "dtype": ({"state_dtype": "float16"}, "state_dtype: no 'float16'; did you mean"),
    "no instruction": ({"instruction": None}, "instruction.key is missing"),
    "template": ({"instruction": {"key": "a", "template": "do {it}"}}, "a text with {instruction}"),
    "template without": ({"instruction": {"key": "a", "template": "do it"}}, "a text with {instruction}"),
    "constant": ({"constants": {"a": [1]}}, "constants.a: a text or a number, not [1]"),
    "axes": ({"leading_axes": 9}, "leading_axes: a whole number from 0 to 3, not 9"),
    "absolute": ({"actions": {"control": "absolute"}}, "the environments take changes of the pose only"),
    "same": ({"actions": {"gripper_open": 1}}, "actions.gripper_open and gripper_closed are both 1"),
    "binary": ({"actions": {"gripper_binary": 1}}, "actions.gripper_binary: true or false, not 1"),
    "keys": ({"actions": {"keys": "actions"}}, "actions.keys: a list of texts, not actions"),
    "executed": ({"actions": {"executed": 0}}, "actions.executed: a whole number from 1"),
    "a list": ([1], "mine.yaml must hold 'option: value' lines"),
    "number as key": ({1: 2}, "'key: value' lines"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_a_card_give_one_line(case, tmp_path):
    changes, reason = MISTAKES[case]
    values = {"instruction": {"key": "prompt"}} | changes if isinstance(changes, dict) else changes
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as error:
        read_convention(str(file))
    assert reason in str(error.value)
    assert str(error.value).startswith(("--convention ", "--convention: "))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [", "mine.yaml is not YAML (line 1)"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[" * 5000, "mine.yaml is nested too deeply"),
        (b"a: 2024-99-99", "mine.yaml holds a value that cannot be read"),
        (b"# " + b"x" * 70_000, "at most 65536 are read"),
        (b"!!python/object:os.system {}", "mine.yaml is not YAML"),
        (None, "mine.yaml: No such file or directory"),
        (b"- a", "mine.yaml must hold 'option: value' lines"),
        (b"actions: {gripper_open: 010}", "'010' is no plain number"),
    ],
)
def test_files_that_are_no_card(content, reason, tmp_path):
    file: Path = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_convention(str(file))
    assert reason in str(error.value)
    assert str(error.value).isprintable()


def test_a_mistyped_card():
    with pytest.raises(ConfigError, match="no card or YAML file 'openpi_libro'; did you mean 'openpi_libero'"):
        read_convention("openpi_libro")
