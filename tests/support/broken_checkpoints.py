"""Checkpoints that are broken or risky, each with how to make it from a sound one.

`docs/checkpoints-refused.md` has the line that a user sees for each, and `tests/policies/test_refused.py` compares.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

CONFIG, WEIGHTS = "config.json", "model.safetensors"
BEFORE, AFTER = "policy_preprocessor.json", "policy_postprocessor.json"
STATE_FILE = "policy_preprocessor_step_5_normalizer_processor.safetensors"
ACTION_FILE = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
IMAGES = "observation.images."
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 906712520\n"


@dataclass(frozen=True)
class Case:
    """A kind of broken checkpoint.

    Attributes:
        title: the kind, as the table names it.
        make: breaks a copy of a sound checkpoint in place.
        options: of the command line, besides the usual ones.
        place: what to pass as `--policy`, below the folder.
    """

    title: str
    make: Callable[[Path], object]
    options: tuple[str, ...] = ("--n-action-steps", "10")
    place: str = ""


def edit(folder: Path, file: str, change: Callable[[dict], object]) -> None:
    values = json.loads((folder / file).read_text())
    change(values)
    (folder / file).write_text(json.dumps(values))


def configure(**values) -> Callable[[Path], object]:
    return lambda folder: edit(folder, CONFIG, lambda config: config.update(values))


def step(file: str, name: str, change: Callable[[dict], object]) -> Callable[[Path], object]:
    """Change a processing step."""

    def find(values: dict) -> None:
        change(next(found for found in values["steps"] if found["registry_name"] == name))

    return lambda folder: edit(folder, file, find)


def add_step(file: str, values: dict) -> Callable[[Path], object]:
    return lambda folder: edit(folder, file, lambda pipeline: pipeline["steps"].append(values))


def tensors(file: str, change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        values = {key: value.copy() for key, value in load_file(folder / file).items()}
        change(values)
        save_file(values, folder / file)

    return write


def write(file: str, text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text)

    return make


def remove(*files: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / file).unlink() for file in files]


def rename(values: dict, old: str, new: str) -> None:
    for key in [key for key in values if key.startswith(old)]:
        values[new + key.removeprefix(old)] = values.pop(key)


def set_number(key: str, index: int, value: float) -> Callable[[dict], object]:
    return lambda values: values[key].__setitem__(index, value)


def no_language_model(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        shutil.rmtree(folder / "vlm")
        edit(folder, CONFIG, lambda config: config.update(vlm_model_name=name))
        step(BEFORE, "tokenizer_processor", lambda found: found["config"].update(tokenizer_name=name))(folder)

    return make


def _training_folder(folder: Path) -> None:
    deep = folder / "checkpoints" / "080000" / "pretrained_model"
    deep.mkdir(parents=True)
    for path in list(folder.iterdir()):
        if path.name != "checkpoints":
            shutil.move(path, deep / path.name)


def _step_folder(folder: Path) -> None:
    _training_folder(folder)
    (folder / "checkpoints" / "last").symlink_to("080000")


def _link_out(folder: Path) -> None:
    outside = folder.parent / "elsewhere.safetensors"
    shutil.move(folder / ACTION_FILE, outside)
    (folder / ACTION_FILE).symlink_to(outside)


def _adapter(folder: Path, **values) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    base = {"peft_type": "LORA", "base_model_name_or_path": "lerobot/smolvla_base", "r": 8}
    (folder / "adapter_config.json").write_text(json.dumps(base | values))
    configure(use_peft=True)(folder)


def adapter_beside_its_base(folder: Path, **values) -> None:
    base = folder / "base"
    base.mkdir()
    shutil.copy(folder / WEIGHTS, base)
    _adapter(folder, **values)


def _both_weights(folder: Path) -> None:
    """Merged into the adapter's folder, or the base's weights copied into it."""
    weights = (folder / WEIGHTS).read_bytes()
    _adapter(folder)
    (folder / WEIGHTS).write_bytes(weights)
    configure(use_peft=False)(folder)


def _in_parts(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    shutil.copy(folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}')


def _zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "archive", "w") as archive:
        archive.write(folder / WEIGHTS, "archive/data.pkl")
    (folder / "archive").rename(folder / WEIGHTS)


def third_camera(folder: Path) -> None:
    """Fine-tuned from the SmolVLA base with a rename map: `camera3` stays declared."""
    for file in (CONFIG, BEFORE):
        text = (folder / file).read_text()
        (folder / file).write_text(
            text.replace(f"{IMAGES}image2", f"{IMAGES}camera2").replace(f"{IMAGES}image", f"{IMAGES}camera1")
        )
    third = {f"{IMAGES}camera3": {"type": "VISUAL", "shape": [3, 256, 256]}}
    edit(folder, CONFIG, lambda config: config["input_features"].update(third))
    renames = {f"{IMAGES}image": f"{IMAGES}camera1", f"{IMAGES}image2": f"{IMAGES}camera2"}
    step(BEFORE, "rename_observations_processor", lambda found: found["config"].update(rename_map=renames))(folder)


def _images_by_mean(folder: Path) -> None:
    """As ACT does it; the statistics of one camera are missing."""
    modes = {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}
    configure(normalization_mapping=modes)(folder)
    step(BEFORE, "normalizer_processor", lambda found: found["config"].update(norm_map=modes))(folder)
    for kind in ("mean", "std"):
        tensors(
            STATE_FILE,
            lambda values, kind=kind: values.update({f"{IMAGES}image.{kind}": np.ones((3, 1, 1), np.float32)}),
        )(folder)


def wrong_mode(mode: str, file: str, name: str, kind: str) -> Callable[[Path], object]:
    """Both places say another mode than the statistics are for."""

    def make(folder: Path) -> None:
        edit(folder, CONFIG, lambda config: config["normalization_mapping"].update({kind: mode}))
        step(file, name, lambda found: found["config"]["norm_map"].update({kind: mode}))(folder)

    return make


def _both(*makes: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [make(folder) for make in makes]


def relative_actions(relative: bool | None, absolute: bool, **config) -> Callable[[Path], object]:
    """lerobot's pair of steps, each enabled or not; `None` leaves the first out. Where pi0's are."""
    first = {"registry_name": "relative_actions_processor", "config": {"enabled": relative, **config}}
    second = {"registry_name": "absolute_actions_processor", "config": {"enabled": absolute}}

    def make(folder: Path) -> None:
        if relative is not None:
            edit(folder, BEFORE, lambda pipeline: pipeline["steps"].insert(1, first))
        edit(folder, AFTER, lambda pipeline: pipeline["steps"].insert(1, second))

    return make


def _action_range(low: list[float], high: list[float]) -> Callable[[Path], object]:
    values = {"action.min": np.array(low, np.float32), "action.max": np.array(high, np.float32)}
    return _both(
        wrong_mode("MIN_MAX", AFTER, "unnormalizer_processor", "ACTION"),
        step(BEFORE, "normalizer_processor", lambda s: s["config"]["norm_map"].update(ACTION="MIN_MAX")),
        tensors(ACTION_FILE, lambda v: v.update(values)),
    )


def _beside_the_mean(low: list[float], high: list[float], *, mean: float, std: float) -> Callable[[Path], object]:
    """Mean and std of the position, and the minimum and maximum that lerobot saves with them."""

    def change(values: dict[str, np.ndarray]) -> None:
        values["action.mean"][:3], values["action.std"][:3] = mean, std
        values["action.min"] = np.array([*low, -0.4, -0.4, -0.4, -1], np.float32)
        values["action.max"] = np.array([*high, 0.4, 0.4, 0.4, 1], np.float32)

    return tensors(ACTION_FILE, change)


def changes_relative_to_the_state(folder: Path) -> None:
    """Odd, but sound: trained on LIBERO's own changes of the pose, less the state."""
    state = load_file(folder / STATE_FILE)[f"{STATE}.mean"]
    tensors(ACTION_FILE, lambda v: v.update({"action.mean": v["action.mean"] - state[:7]}))(folder)
    relative_actions(relative=True, absolute=True)(folder)


def _no_normalizer(values: dict) -> None:
    values["steps"] = [found for found in values["steps"] if found["registry_name"] != "normalizer_processor"]


def _twice(values: dict) -> None:
    values["steps"].append(values["steps"][-1])


def _cameras(*names: str, sides: tuple[int, ...] = (256, 256), **values) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        shapes = dict(zip(names, sides, strict=True))
        images = {f"{IMAGES}{name}": {"type": "VISUAL", "shape": [3, side, side]} for name, side in shapes.items()}
        state = json.loads((folder / CONFIG).read_text())["input_features"][STATE]
        configure(input_features={**images, STATE: state}, **values)(folder)

    return make


STATE, ACTION = "observation.state", "action"
CROP = {"crop_params_dict": {f"{IMAGES}{name}": [8, 8, 80, 80] for name in ("image", "image2")}}
EVIL = {"class": "subprocess.Popen", "config": {"args": ["touch", "MARKER"]}}

REFUSED = (
    # Statistics.
    Case(
        "action statistics under the name of a training set",
        tensors(ACTION_FILE, lambda v: rename(v, "action", "so100.buffer.action")),
    ),
    Case(
        "state statistics under the name of a training set",
        tensors(STATE_FILE, lambda v: rename(v, STATE, f"so100.buffer.{STATE}")),
    ),
    Case(
        "no statistics of the state",
        tensors(STATE_FILE, lambda v: [v.pop(f"{STATE}.{kind}") for kind in ("mean", "std")]),
    ),
    Case("the mean, but no std", tensors(STATE_FILE, lambda v: v.pop(f"{STATE}.std"))),
    Case("the normalizer names no file", step(BEFORE, "normalizer_processor", lambda s: s.pop("state_file"))),
    Case("the unnormalizer names no file", step(AFTER, "unnormalizer_processor", lambda s: s.pop("state_file"))),
    Case("the normalizer's file is missing", remove(STATE_FILE)),
    Case(
        "the normalizer's file is cut off",
        lambda folder: (folder / STATE_FILE).write_bytes((folder / STATE_FILE).read_bytes()[:90]),
    ),
    Case(
        "the normalizer does not list the state",
        step(BEFORE, "normalizer_processor", lambda s: s["config"]["features"].pop(STATE)),
    ),
    Case(
        "the unnormalizer does not list the actions",
        step(AFTER, "unnormalizer_processor", lambda s: s["config"].update(features={})),
    ),
    Case("no normalizer at all", lambda folder: edit(folder, BEFORE, _no_normalizer)),
    Case("no unnormalizer at all", lambda folder: edit(folder, AFTER, lambda v: v["steps"].pop(0))),
    Case("two normalizers", lambda folder: edit(folder, BEFORE, _twice)),
    Case(
        "a normalizer among the postprocessor's steps",
        lambda folder: add_step(AFTER, json.loads((folder / BEFORE).read_text())["steps"][-1])(folder),
    ),
    Case(
        "the two places name different modes",
        step(AFTER, "unnormalizer_processor", lambda s: s["config"]["norm_map"].update(ACTION="IDENTITY")),
    ),
    Case("the mode needs minimum and maximum", wrong_mode("MIN_MAX", BEFORE, "normalizer_processor", "STATE")),
    Case("the mode needs quantiles", wrong_mode("QUANTILES", AFTER, "unnormalizer_processor", "ACTION")),
    Case("a mode that lerobot does not know", wrong_mode("LOG", AFTER, "unnormalizer_processor", "ACTION")),
    Case("images scaled by mean and std, one camera without", _images_by_mean),
    Case("statistics that are not finite", tensors(ACTION_FILE, set_number("action.std", 2, np.nan))),
    Case("a negative std", tensors(STATE_FILE, set_number(f"{STATE}.std", 3, -0.1))),
    Case("statistics of another size", tensors(ACTION_FILE, lambda v: v.update({"action.mean": v["action.mean"][:6]}))),
    Case(
        "the state is left out of what is normalized",
        step(
            BEFORE, "normalizer_processor", lambda s: s["config"].update(normalize_observation_keys=[f"{IMAGES}image"])
        ),
    ),
    # Files that are missing or not what they seem.
    Case("weights not fetched by git-lfs", write(WEIGHTS, POINTER)),
    Case("statistics not fetched by git-lfs", write(ACTION_FILE, POINTER)),
    Case("the tokenizer not fetched by git-lfs", write("vlm/tokenizer.json", POINTER)),
    Case(
        "weights that are cut off", lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])
    ),
    Case("an old checkpoint without processors", remove(BEFORE, AFTER, STATE_FILE, ACTION_FILE)),
    Case("a folder of a training run", _training_folder),
    Case("the folder of a step of a training run", _step_folder, place="checkpoints/last"),
    Case("no weights", remove(WEIGHTS)),
    Case("weights in several files", _in_parts),
    Case("weights of torch.save under another name", _zipped),
    Case("one file of a checkpoint", configure(), place=CONFIG),
    Case("a language model without its tokenizer", remove("vlm/tokenizer.json")),
    Case("a language model whose tokenizer is damaged", write("vlm/tokenizer.json", '{"version": "1.')),
    Case("only pickled weights", lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin")),
    Case("weights that are not finite", tensors(WEIGHTS, lambda v: v["model.action_out_proj.bias"].fill(np.nan))),
    Case("weights of another policy", tensors(WEIGHTS, lambda v: v.pop("model.action_out_proj.bias"))),
    # Adapters.
    Case("a LoRA adapter without its base", _adapter),
    Case("a LoRA adapter that names no base", lambda folder: _adapter(folder, base_model_name_or_path=None)),
    Case("an adapter of another kind", lambda folder: adapter_beside_its_base(folder, peft_type="MISS")),
    Case(
        "an adapter that names a module to import",
        lambda folder: adapter_beside_its_base(folder, megatron_config={"a": 1}, megatron_core="os"),
    ),
    Case(
        "full weights beside the configuration of an adapter",
        write("adapter_config.json", '{"peft_type": "LORA", "base_model_name_or_path": "lerobot/smolvla_base"}'),
    ),
    Case("full weights beside an adapter", _both_weights),
    Case("an adapter by its configuration, merged or not", configure(use_peft=True)),
    # Code.
    Case("a step that names a Python class", add_step(BEFORE, EVIL)),
    Case("a postprocessor's step that names a Python class", add_step(AFTER, EVIL)),
    Case(
        "a step that is none of lerobot's for policies",
        add_step(BEFORE, {"registry_name": "reward_classifier_processor", "config": {"pretrained_path": "a/b"}}),
    ),
    Case("a mistyped step", add_step(BEFORE, {"registry_name": "normaliser_processor", "config": {}})),
    Case(
        "a tokenizer from any place of the hub",
        add_step(
            BEFORE,
            {"registry_name": "action_tokenizer_processor", "config": {"action_tokenizer_name": "evil/tokenizer"}},
        ),
    ),
    Case(
        "a tokenizer from a folder outside",
        add_step(
            BEFORE, {"registry_name": "action_tokenizer_processor", "config": {"action_tokenizer_name": "/srv/evil"}}
        ),
    ),
    Case(
        "a tokenizer that brings Python files",
        write("vlm/tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}'),
    ),
    Case(
        "a language model that brings a compiled kernel",
        write("vlm/generation_config.json", '{"_attn_implementation": "evil/kernel"}'),
    ),
    Case("a language model outside the folder", no_language_model("../vlm")),
    Case("a language model of any other name", no_language_model("evil/vlm")),
    Case(
        "a step's file outside the folder",
        step(AFTER, "unnormalizer_processor", lambda s: s.update(state_file=f"../{ACTION_FILE}")),
    ),
    Case("a link out of the folder", _link_out),
    Case("a pickled file", write("vlm/pytorch_model.bin", "x")),
    # Policies that do not fit.
    Case("an average over earlier chunks (ACT)", configure(temporal_ensemble_coeff=0.01)),
    Case("real-time chunking", configure(rtc_config={"enabled": True})),
    Case("a history of observations", configure(n_obs_steps=2)),
    Case("a type that carries state", configure(type="tdmpc")),
    Case(
        "a state of another size",
        lambda folder: edit(folder, CONFIG, lambda c: c["input_features"][STATE].update(shape=[6])),
    ),
    Case("a camera of an unknown name beside empty_cameras", _cameras("front", "side", empty_cameras=1)),
    Case("cameras that are counted from 0", _cameras("image0", "image1")),
    Case("two cameras for one place", _cameras("top", "front", "wrist", sides=(80,) * 3)),
    Case("a depth image beside the wrist's", _cameras("image", "wrist_depth", "wrist", sides=(80,) * 3, type="act")),
    Case("cameras of different sizes (ACT)", _cameras("image", "image2", sides=(256, 128), type="act")),
    Case(
        "a crop of images of another size",
        _both(
            _cameras("image", "image2"),
            add_step(BEFORE, {"registry_name": "image_crop_resize_processor", "config": CROP}),
        ),
    ),
    Case("a state added to actions that are not relative to it", relative_actions(relative=False, absolute=True)),
    Case("a state added, and no step that keeps it", relative_actions(relative=None, absolute=True)),
    Case(
        "relative actions that become poses",
        relative_actions(relative=True, absolute=True, exclude_joints=["grip"], action_names=[*"abcdef", "gripper"]),
    ),
    Case("poses, by their average", tensors(ACTION_FILE, set_number("action.mean", 3, 3.0))),
    Case(
        "poses, by their lowest and highest",
        _action_range([-0.3, -0.3, 1.2, -1, -1, -1, -1], [0.3, 0.3, 1.5, 1, 1, 1, 1]),
    ),
    Case("more actions than a chunk has", configure(), ("--n-action-steps", "51")),
)
"""Each ends with one line and exit code 2."""

NOTED = (
    Case("a declared camera that nobody feeds", third_camera),
    Case(
        "a camera whose name in the training data says nothing",
        step(
            BEFORE,
            "rename_observations_processor",
            lambda found: found["config"].update(rename_map={f"{IMAGES}left": f"{IMAGES}image2"}),
        ),
    ),
    Case(
        "a crop of images of unknown size",
        _both(
            _cameras("image", "image2", sides=(80, 80)),
            add_step(BEFORE, {"registry_name": "image_crop_resize_processor", "config": CROP}),
        ),
    ),
    Case("a part of the state that never moved in training", tensors(STATE_FILE, set_number(f"{STATE}.std", 7, 0.0))),
    Case("an action that never moved in training", tensors(ACTION_FILE, set_number("action.std", 3, 0.0))),
    Case("a whole chunk of 50 executed, as saved", configure(n_action_steps=50), ()),
    Case("one action of 50 executed, as saved", configure(n_action_steps=1), ()),
)
"""Each runs, after one line."""

NOTED_IN_LIBERO = (
    Case(
        "a state in other units", tensors(STATE_FILE, lambda v: v.update({f"{STATE}.mean": v[f"{STATE}.mean"] * 1000}))
    ),
    Case(
        "a state that was filled up with zeros",
        _both(
            tensors(STATE_FILE, lambda v: v[f"{STATE}.mean"].__setitem__(slice(6, 8), 0.0)),
            tensors(STATE_FILE, lambda v: v[f"{STATE}.std"].__setitem__(slice(6, 8), 0.0)),
        ),
    ),
    Case("poses, perhaps", _action_range([-0.3, -0.3, 0.9, -3.2, -1, -1, -1], [0.3, 0.3, 1.3, 3.2, 1, 1, 1])),
    Case("a state that is added again", changes_relative_to_the_state),
    Case("a state that is never added again", relative_actions(relative=True, absolute=False)),
    Case(
        "a gripper from 0 to 1",
        _both(
            tensors(ACTION_FILE, set_number("action.mean", 6, 0.46)),
            tensors(ACTION_FILE, set_number("action.std", 6, 0.498)),
        ),
    ),
    Case("poses, by numbers that keep their sign", _beside_the_mean([0.9] * 3, [1.0] * 3, mean=0.95, std=0.02)),
    Case("poses, by their extremes beside mean and std", _beside_the_mean([-3.1] * 3, [3.1] * 3, mean=0.0, std=0.3)),
    Case("a gripper from 0 to 1, by its range", _action_range([-1] * 6 + [0], [1] * 7)),
    Case("actions in other units", tensors(ACTION_FILE, lambda v: v.update({"action.std": v["action.std"] * 60}))),
)
"""Each is allowed for LIBERO, after one line."""
