"""What is refused before anything heavy is loaded, and which of our cameras a checkpoint's pictures are."""

import json
import shutil
import time
from pathlib import Path

import pytest

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.calls import Call
from simeval.policies.checkpoint.image_sizes import OnlySize, require_size
from simeval.policies.checkpoint.read import read, sha256

IMAGES = "observation.images."
VISUAL = {"type": "VISUAL", "shape": [3, 256, 256]}
STATE = {"observation.state": {"type": "STATE", "shape": [8]}}


@pytest.fixture
def checkpoint(tiny_smolvla, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_smolvla, tmp_path / "mine"))


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def set_cameras(folder: Path, *names: str, **changes) -> None:
    edit(folder / "config.json", input_features={**{IMAGES + name: VISUAL for name in names}, **STATE}, **changes)


def set_rename_map(folder: Path, renames: dict[str, str]) -> None:
    file = folder / "policy_preprocessor.json"
    pipeline = json.loads(file.read_text())
    pipeline["steps"][0]["config"]["rename_map"] = {IMAGES + old: IMAGES + new for old, new in renames.items()}
    file.write_text(json.dumps(pipeline))


def refusal(checkpoint: Path | str, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        read(str(checkpoint), **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_reads_what_lerobot_saved(checkpoint):
    found = read(str(checkpoint))
    assert (found.name, found.type, found.call) == ("mine", "smolvla", Call(1, 50, 10))
    assert found.cameras == {"agentview": IMAGES + "image", "wrist": IMAGES + "image2"}
    assert found.image_size == (256, 256)
    assert found.vlm == checkpoint / "vlm"
    assert read(str(checkpoint), n_action_steps=50).call.n_action_steps == 50


def test_training_folder_is_named_after_its_run(checkpoint, tmp_path):
    deep = tmp_path / "my_run" / "checkpoints" / "080000" / "pretrained_model"
    shutil.move(checkpoint, deep)
    assert read(str(deep)).name == "my_run/080000"


def test_digest_follows_content_not_place(checkpoint, tmp_path):
    first = sha256(checkpoint)
    moved = Path(shutil.move(checkpoint, tmp_path / "elsewhere"))
    (moved / ".cache").mkdir()
    (moved / ".cache" / "stamp.json").write_text("1")
    (moved / "README.md").write_text("words")
    assert sha256(moved) == first
    edit(moved / "vlm" / "config.json", added=1)
    assert sha256(moved) != first


@pytest.mark.parametrize(
    ("names", "agentview", "wrist"),
    [
        (("camera1", "camera2"), "camera1", "camera2"),
        (("image", "wrist_image"), "image", "wrist_image"),
        (("wrist", "agentview"), "agentview", "wrist"),
        (("agentview_rgb", "eye_in_hand_rgb"), "agentview_rgb", "eye_in_hand_rgb"),
        (("base_0_rgb", "left_wrist_0_rgb"), "base_0_rgb", "left_wrist_0_rgb"),
        (("right_wrist_0_rgb", "left_wrist_0_rgb", "base_0_rgb"), "base_0_rgb", "left_wrist_0_rgb"),
        (("image", "image2", "wrist_image"), "image", "wrist_image"),
        (("camera1", "camera2", "wrist"), "camera1", "wrist"),
        (("image",), "image", None),
        (("image2",), None, "image2"),
        ((), None, None),
    ],
)
def test_cameras_by_name(checkpoint, names, agentview, wrist):
    set_cameras(checkpoint, *names)
    wanted = {"agentview": agentview, "wrist": wrist}
    assert read(str(checkpoint)).cameras == {camera: IMAGES + name for camera, name in wanted.items() if name}


@pytest.mark.parametrize(
    ("names", "both"),
    [
        (("top", "front"), ("top", "front")),
        (("front", "wrist", "top"), ("front", "top")),
        (("image", "wrist", "hand_rgb"), ("wrist", "hand_rgb")),
        (("camera1", "image1", "wrist"), ("camera1", "image1")),
    ],
)
def test_two_images_for_one_camera_are_refused(checkpoint, names, both):
    set_cameras(checkpoint, *names)
    assert f"both {IMAGES}{both[0]} and {IMAGES}{both[1]} could be" in refusal(checkpoint)
    set_cameras(checkpoint, "camera1", "camera2", "camera3")
    set_rename_map(checkpoint, {both[0]: "camera1", "wrist": "camera2", "side": "camera3"})
    assert both[0] in read(str(checkpoint)).cameras["agentview" if both[0] != "wrist" else "wrist"]


@pytest.mark.parametrize("other", ["wrist_depth", "depth_wrist", "segmentation_hand", "wrist_mask", "gripper_tactile"])
def test_an_image_without_colours_is_no_camera(checkpoint, other):
    set_cameras(checkpoint, "image", other, "wrist")
    assert read(str(checkpoint)).cameras == {"agentview": IMAGES + "image", "wrist": IMAGES + "wrist"}
    set_cameras(checkpoint, "image", other)
    assert f"which would be {IMAGES}{other};" in refusal(checkpoint)


def test_rename_map_decides(checkpoint):
    set_cameras(checkpoint, "left", "right")
    set_rename_map(checkpoint, {"image2": "left", "image": "right"})
    assert read(str(checkpoint)).cameras == {"wrist": IMAGES + "image2", "agentview": IMAGES + "image"}


@pytest.mark.parametrize(
    ("sources", "agentview", "wrist", "unfed"),
    [
        (("front", "side", "wrist"), "front", "wrist", "camera2"),
        (("side", "front", "wrist"), "front", "wrist", "camera1"),
        (("wrist", "front", "side"), "front", "wrist", "camera3"),
        (("wrist", "top", "image2"), "top", "wrist", "camera3"),
    ],
)
def test_the_names_of_the_training_data_come_first(checkpoint, sources, agentview, wrist, unfed):
    numbered = ("camera1", "camera2", "camera3")
    set_cameras(checkpoint, *numbered)
    set_rename_map(checkpoint, dict(zip(sources, numbered, strict=True)))
    found = read(str(checkpoint))
    assert found.cameras == {"agentview": IMAGES + agentview, "wrist": IMAGES + wrist}
    assert (found.unfed, found.guessed) == ((IMAGES + unfed,), {})


def test_a_rename_map_settles_cameras_that_are_counted_from_zero(checkpoint):
    set_cameras(checkpoint, "camera1", "camera2")
    set_rename_map(checkpoint, {"image0": "camera1", "image1": "camera2"})
    assert read(str(checkpoint)).cameras == {"agentview": IMAGES + "image0", "wrist": IMAGES + "image1"}


def test_a_placeholder_gets_no_image_and_no_note(checkpoint):
    set_cameras(checkpoint, "camera1", "camera2", "empty_camera_0", empty_cameras=1)
    assert set(read(str(checkpoint)).cameras) == {"agentview", "wrist"}
    assert read(str(checkpoint)).unfed == ()
    set_cameras(checkpoint, "camera1", "camera2", "camera3", "empty_camera_0", empty_cameras=1)
    assert read(str(checkpoint)).unfed == (IMAGES + "camera3",)


def test_a_placeholder_that_the_rename_map_feeds_is_a_camera(checkpoint):
    set_cameras(checkpoint, "camera1", "empty_camera_0", empty_cameras=1)
    set_rename_map(checkpoint, {"image": "camera1", "image2": "empty_camera_0"})
    assert read(str(checkpoint)).cameras == {"agentview": IMAGES + "image", "wrist": IMAGES + "image2"}


@pytest.mark.parametrize("kind", ["smolvla", "pi0", "pi05", "evo1", "xvla", "act"])
@pytest.mark.parametrize(
    ("names", "unknown"),
    [
        (("front", "side"), ("side",)),
        (("image0", "image1"), ("image0", "image1")),
        (("camera_0", "camera_1"), ("camera_0", "camera_1")),
        (("image0", "image1", "image2"), ("image0", "image1", "image2")),
        (("nose",), ("nose",)),
        (("camera1", "nose", "ear"), ("nose", "ear")),
        (("camera1", "empty_camera_wrist_0"), None),
        (("camera1", "empty_camera_0_view"), ("empty_camera_0_view",)),
    ],
)
def test_empty_cameras_excuse_no_camera_of_another_name(checkpoint, kind, names, unknown):
    set_cameras(checkpoint, *names, empty_cameras=len(names), type=kind)
    if unknown is None:
        assert read(str(checkpoint)).cameras["wrist"] == IMAGES + names[1]
    else:
        assert f"which would be {', '.join(IMAGES + name for name in unknown)};" in refusal(checkpoint)


@pytest.mark.parametrize(("kind", "empty"), [("smolvla", 0), ("pi0", 0), ("xvla", 0), ("evo1", 1)])
def test_a_type_that_pads_missing_images_may_lack_some(checkpoint, kind, empty):
    set_cameras(checkpoint, "camera1", "camera2", "camera3", type=kind, empty_cameras=empty)
    assert read(str(checkpoint)).unfed == (IMAGES + "camera3",)


def test_a_type_that_needs_every_declared_image_is_refused_without_one(checkpoint):
    set_cameras(checkpoint, "camera1", "camera2", "camera3", type="act")
    assert f"'act' cannot do without {IMAGES}camera3" in refusal(checkpoint)
    set_cameras(checkpoint, "camera1", "camera2", "camera3", "camera4", type="evo1", empty_cameras=1)
    assert f"'evo1' cannot do without {IMAGES}camera3, {IMAGES}camera4" in refusal(checkpoint)


def set_sizes(folder: Path, first: int, second: int, **changes) -> None:
    sides = {"image": first, "image2": second}
    images = {IMAGES + name: {"type": "VISUAL", "shape": [3, side, side]} for name, side in sides.items()}
    edit(folder / "config.json", input_features={**images, **STATE}, **changes)


def add_resizer(folder: Path, **config) -> None:
    file = folder / "policy_preprocessor.json"
    pipeline = json.loads(file.read_text())
    pipeline["steps"].append({"registry_name": "image_crop_resize_processor", "config": config})
    file.write_text(json.dumps(pipeline))


def only(checkpoint: Path) -> tuple[int, int] | None:
    found = read(str(checkpoint)).only_size
    return found and found.size


def test_a_type_that_resizes_no_image_takes_the_declared_size_only(checkpoint):
    set_sizes(checkpoint, 96, 96, type="act")
    assert only(checkpoint) == (96, 96)
    set_sizes(checkpoint, 96, 128, type="act")
    assert f"different sizes ({IMAGES}image 96x96, {IMAGES}image2 128x128), the suites" in refusal(checkpoint)
    set_sizes(checkpoint, 96, 128, type="diffusion", horizon=16, resize_shape=[96, 96])
    assert only(checkpoint) is None
    set_sizes(checkpoint, 96, 128, type="smolvla")
    assert only(checkpoint) is None
    assert read(str(checkpoint)).image_size == (96, 96)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"resize_size": [64, 64]}, None),
        ({"resize_size": None}, (96, 96)),
        ({"resize_size": None, "crop_params_dict": {}}, (96, 96)),
        ({}, (96, 96)),
    ],
)
def test_a_resizer_that_resizes_nothing_takes_one_size(checkpoint, config, size):
    set_sizes(checkpoint, 96, 96, type="act")
    add_resizer(checkpoint, **config)
    assert only(checkpoint) == size


def test_a_crop_by_pixels_takes_one_size_whatever_the_type(checkpoint):
    crops = {"crop_params_dict": {IMAGES + name: [8, 8, 80, 80] for name in ("image", "image2")}}
    set_sizes(checkpoint, 96, 96)
    add_resizer(checkpoint, **crops, resize_size=[64, 64])
    found = read(str(checkpoint)).only_size
    assert found == OnlySize((96, 96), "its image_crop_resize_processor crops by pixels")
    with pytest.raises(ConfigError, match="have 96x96 px and these 128x128, and its image_crop_resize_processor crops"):
        require_size(found, [(96, 96), (128, 128)], name="mine")
    # What is declared is what comes out of the step: nothing tells the size before it.
    set_sizes(checkpoint, 64, 64)
    assert only(checkpoint) is None
    set_sizes(checkpoint, 64, 64, type="act")
    assert only(checkpoint) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"input_features": {"observation.state": {"type": "STATE", "shape": [6]}}},
            "state has size 6, the suites' has 8",
        ),
        ({"output_features": {"action": {"type": "ACTION", "shape": [14]}}}, "action has size 14, the suites' has 7"),
        ({"output_features": {}}, "action has size none"),
        ({"input_features": {"observation.environment_state": {"type": "ENV", "shape": [3]}}}, "environment_state"),
        ({"input_features": {"observation.state": 3}}, "not laid out"),
        ({"n_action_steps": 51}, "n_action_steps is 51, it must be in 1..50"),
        ({"n_action_steps": 0}, "n_action_steps is 0, it must be in 1..50"),
        ({"n_action_steps": 9.5}, "n_action_steps is 9.5, it must be in 1..50"),
        (
            {"input_features": {IMAGES + "image": {"type": "VISUAL", "shape": [3, 10**6, 10**6]}, **STATE}},
            "has shape 3x1000000",
        ),
        (
            {"input_features": {IMAGES + "image": {"type": "VISUAL", "shape": [256, 256, 3]}, **STATE}},
            "images are 3xHxW",
        ),
        ({"n_obs_steps": 2}, "history of 2 observations (n_obs_steps), and 'smolvla' takes one"),
        ({"n_obs_steps": 0}, "n_obs_steps is 0, it must be in 1..64"),
        ({"type": "diffusion", "n_obs_steps": 65, "horizon": 99}, "n_obs_steps is 65, it must be in 1..64"),
        ({"type": "diffusion", "n_obs_steps": 9, "horizon": 8}, "horizon of 8 is shorter than its 9 observations"),
        (
            {"type": "diffusion", "n_obs_steps": 2, "horizon": 16, "n_action_steps": 16},
            "n_action_steps is 16, it must be in 1..15 (its horizon of 16 begins 1 before the current observation)",
        ),
        ({"type": "vqbet", "n_obs_steps": 5, "chunk_size": None, "action_chunk_size": 9}, "it must be in 1..9"),
        ({"type": "gaussian_actor"}, "predicts no chunks"),
        ({"type": "lingbot_va"}, "'lingbot_va' carries state"),
        ({"type": None}, "which type"),
        ({"use_peft": True}, "adapter"),
    ],
)
def test_what_does_not_fit_is_refused(checkpoint, changes, said):
    edit(checkpoint / "config.json", **changes)
    assert said in refusal(checkpoint)


def test_override_out_of_range_is_refused(checkpoint):
    assert "n_action_steps is 51, it must be in 1..50" in refusal(checkpoint, n_action_steps=51)


def test_actions_without_statistics_are_refused(checkpoint):
    file = checkpoint / "policy_postprocessor.json"
    pipeline = json.loads(file.read_text())
    pipeline["steps"][0]["config"]["features"] = {}
    file.write_text(json.dumps(pipeline))
    assert "no statistics" in refusal(checkpoint)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "policy_preprocessor.json"])
def test_incomplete_folder_is_refused(checkpoint, file):
    (checkpoint / file).unlink()
    assert f"it has no {file}" in refusal(checkpoint)


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_corrupt_config_is_refused(checkpoint, content):
    (checkpoint / "config.json").write_text(content)
    assert "config.json" in refusal(checkpoint)


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "none", "a/b/c", "~/none at all", ""])
def test_missing_folder_is_refused(name):
    assert "no such folder" in refusal(name)


def test_unreachable_hub_is_refused_at_once():
    began = time.monotonic()
    assert "pass the folder" in refusal("nobody/nothing")
    assert time.monotonic() - began < 10
