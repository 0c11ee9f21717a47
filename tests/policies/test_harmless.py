"""A checkpoint is data: what it names is not imported, not run, and not read from elsewhere."""

import json
import logging
import shutil
from pathlib import Path

import broken_checkpoints as broken
import pytest
from helpers import call

from simeval.core.errors import ConfigError
from simeval.doctor.caches import check_checkpoint
from simeval.doctor.surroundings import Machine
from simeval.policies.checkpoint.harmless import ForeignCodeError, check_registered, no_foreign_code
from simeval.policies.checkpoint.hub_models import models_sha256
from simeval.policies.checkpoint.known import STEPS
from simeval.policies.checkpoint.read import read
from simeval.policies.checkpoint.steps import Step
from simeval.policies.lerobot import load

PUBLIC = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"


@pytest.fixture
def folder(tiny_smolvla, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_smolvla, tmp_path / "mine"))


def tokenizer_with_code(folder: Path) -> Path:
    """A folder whose tokenizer leaves a mark beside itself when its Python file runs."""
    folder.mkdir()
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\nclass Tokenizer: ...\n")
    names = {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None], "AutoProcessor": "evil.Tokenizer"}}
    for file in ("tokenizer_config.json", "processor_config.json", "config.json"):
        (folder / file).write_text(json.dumps(names))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(folder), device="cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", [broken.BEFORE, broken.AFTER])
@pytest.mark.parametrize("registered", [{}, {"registry_name": None}])
def test_no_command_of_a_checkpoint_runs(folder, tmp_path, file, registered):
    marker = tmp_path / "ran"
    evil = {"class": "subprocess.Popen", "config": {"args": ["touch", str(marker)]}, **registered}
    broken.add_step(file, evil)(folder)
    toy = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0")
    called = call("run", *toy, "--policy", folder, "--out", tmp_path / "run")
    assert (called.code, called.err.count("\n")) == (2, 1)
    assert "subprocess.Popen" in called.err
    assert "subprocess.Popen" in check_checkpoint(Machine(env={"HF_HUB_OFFLINE": "1"}), str(folder)).text
    assert not marker.exists()


@pytest.mark.parametrize(
    "evil",
    [
        {"class": "subprocess.run", "config": {"args": "touch MARKER", "shell": True}},
        {"class": "timeit.timeit", "config": {"stmt": "open('MARKER', 'w')", "number": 1}},
    ],
    ids=["a shell", "timeit"],
)
def test_no_verb_runs_a_command_of_a_checkpoint(folder, tmp_path, evil):
    """Nor by other ways to call something; `plan` reads no checkpoint, so it only has to leave it alone."""
    marker = tmp_path / "ran"
    text = json.dumps(evil).replace("MARKER", str(marker))
    broken.add_step(broken.BEFORE, json.loads(text))(folder)
    toy = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0")
    assert call("run", *toy, "--policy", "seeker", "--out", tmp_path / "run").code == 0
    for words in (
        ("run", *toy[:-1], "2", "--policy", folder, "--out", tmp_path / "other"),
        ("run", "--suite", "libero_spatial", "--assets", "bundled", "--policy", folder, "--out", tmp_path / "other"),
        ("audit", tmp_path / "run", "--policy", folder, "--perturb", "noise:0.1"),
    ):
        called = call(*words)
        assert (called.code, called.out, called.err.count("\n")) == (2, "", 1), called
        assert f"names the class '{evil['class']}'; only steps that lerobot registers" in called.err
    asked = call("doctor", "--only", "checkpoint", "--policy", folder)
    assert asked.code == 1
    assert evil["class"] in asked.out
    assert call("plan", *toy, "--policy", folder).code == 0
    assert not marker.exists()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("place", ["evil", "./evil", "vlm/../../evil", "ABSOLUTE"])
def test_no_tokenizer_from_elsewhere_runs(folder, tmp_path, monkeypatch, place):
    evil = tokenizer_with_code(tmp_path / "evil")
    monkeypatch.chdir(tmp_path)
    config = {"action_tokenizer_name": str(evil) if place == "ABSOLUTE" else place}
    broken.add_step(broken.BEFORE, {"registry_name": "action_tokenizer_processor", "config": config})(folder)
    assert "folder" in refusal(folder)
    assert not (evil / "ran").exists()


def test_no_tokenizer_inside_runs_either(folder):
    evil = tokenizer_with_code(folder / "tokenizer")
    config = {"action_tokenizer_name": "tokenizer"}
    broken.add_step(broken.BEFORE, {"registry_name": "action_tokenizer_processor", "config": config})(folder)
    assert "names Python code to run (auto_map)" in refusal(folder)
    assert not (evil / "ran").exists()


def test_code_beside_a_model_is_refused_whoever_trusts_it(tmp_path, monkeypatch):
    """lerobot asks for it in several places; a model of the hub's cache is not among the checkpoint's files."""
    from transformers import AutoTokenizer, dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    first, second = (tokenizer_with_code(tmp_path / name) for name in ("first", "second"))
    with no_foreign_code(), pytest.raises(ForeignCodeError, match="simeval runs none"):
        AutoTokenizer.from_pretrained(first, trust_remote_code=True)
    assert not (first / "ran").exists()
    with pytest.raises(AttributeError):  # what the guard prevents: the file runs, and has no usable class
        AutoTokenizer.from_pretrained(second, trust_remote_code=True)
    assert (second / "ran").exists()


def test_the_doors_are_open_again_afterwards(monkeypatch):
    import sys

    from transformers import dynamic_module_utils as dynamic

    before = dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE
    late = type(sys)("transformers.generation.utils")
    with no_foreign_code():
        late.get_class_in_module = dynamic.get_class_in_module
        monkeypatch.setitem(sys.modules, "transformers.generation.utils", late)
        assert late.get_class_in_module is not before[0]
    assert (dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE) == before
    assert late.get_class_in_module is before[0]


def test_nothing_runs_in_the_first_call_either(folder, tmp_path, monkeypatch):
    """Some types load a processor only when they are called."""
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    evil = tokenizer_with_code(tmp_path / "evil")

    def lazy(self, batch, **options):
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(evil, trust_remote_code=True)

    monkeypatch.setattr(SmolVLAPolicy, "predict_action_chunk", lazy)
    assert "simeval runs none" in refusal(folder)
    assert not (evil / "ran").exists()


def test_nobody_is_asked_on_the_terminal_whether_to_run_code(tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail(prompt))
    evil = tokenizer_with_code(tmp_path / "evil")
    with no_foreign_code(), pytest.raises(ValueError, match="custom code"):
        AutoTokenizer.from_pretrained(evil)
    assert not (evil / "ran").exists()


def test_a_step_of_lerobots_is_named_even_if_a_package_replaced_it(monkeypatch):
    from lerobot.processor import ProcessorStepRegistry

    class Impostor: ...

    check_registered([Step("device_processor")], "mine")
    monkeypatch.setitem(ProcessorStepRegistry._registry, "device_processor", Impostor)
    with pytest.raises(ConfigError, match="not lerobot's own"):
        check_registered([Step("device_processor")], "mine")


def test_the_known_steps_are_lerobots(monkeypatch):
    import importlib
    import pkgutil

    import lerobot.policies
    from lerobot.processor import ProcessorStepRegistry

    for module in pkgutil.walk_packages(lerobot.policies.__path__, "lerobot.policies."):
        if ".processor_" in module.name:
            importlib.import_module(module.name)
    assert sorted(STEPS) == sorted(STEPS & set(ProcessorStepRegistry.list()))
    check_registered([Step(name) for name in STEPS], "mine")


def test_a_hub_model_that_is_also_a_folder_here_is_refused(folder, tmp_path, monkeypatch):
    broken.no_language_model(PUBLIC)(folder)
    assert read(str(folder)).models == (PUBLIC,)
    (tmp_path / PUBLIC).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="start in another folder"):
        read(str(folder))


def test_a_snapshot_of_the_hub_clients_cache_may_link_to_its_blobs(folder, tmp_path):
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "1f", tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    shutil.move(folder, snapshot)
    for number, path in enumerate(path for path in list(snapshot.rglob("*")) if path.is_file()):
        shutil.move(path, blobs / str(number))
        path.symlink_to(blobs / str(number))
    assert read(str(snapshot)).type == "smolvla"


def test_the_fingerprint_covers_models_of_the_hub(tmp_path):
    cached = tmp_path / "models--a--b"
    (cached / "snapshots" / "1f").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1f")
    file = cached / "snapshots" / "1f" / "tokenizer.json"
    file.write_text("{}")
    before = models_sha256(("a/b",), tmp_path)
    file.write_text("{ }")
    assert models_sha256(("a/b",), tmp_path) != before
    assert models_sha256((), tmp_path) is None


@pytest.mark.parametrize("title", ["\x1b]0;owned\x07", "\ud800", "a\nb", "\u202e", "x" * 4000])
def test_names_in_files_cannot_write_on_the_terminal(folder, title):
    first_step = {"registry_name": title}
    makes = (
        broken.configure(type=title),
        lambda folder: broken.edit(folder, broken.BEFORE, lambda pipeline: pipeline["steps"][0].update(first_step)),
        broken.step(
            broken.AFTER, "unnormalizer_processor", lambda step: step["config"].update(norm_map={"ACTION": title})
        ),
    )
    for make in makes:
        make(folder)
        said = refusal(folder)
        assert said.isprintable()
        assert len(said) <= 700


def test_links_in_a_circle_are_no_files(folder):
    (folder / "circle").symlink_to(folder / "circle")
    assert read(str(folder)).type == "smolvla"


def test_saved_devices_are_overridden(folder, tiny_smolvla):
    for file in (broken.BEFORE, broken.AFTER):
        broken.step(file, "device_processor", lambda step: step["config"].update(device="cuda"))(folder)
    assert (
        load(str(folder), device="cpu").spec.n_action_steps == load(str(tiny_smolvla), device="cpu").spec.n_action_steps
    )


def test_a_pickled_initial_state_may_hold_an_array_only(tmp_path):
    """LIBERO's own files are pickles; they are read by an unpickler that knows nothing else."""
    import pickle
    import zipfile

    from envs.base import EnvError
    from envs.libero.files import init_states

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    with zipfile.ZipFile(tmp_path / "task.pruned_init", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil()))
    with pytest.raises(EnvError, match="only numpy arrays"):
        init_states(tmp_path / "task.pruned_init")
    assert not (tmp_path / "ran").exists()


def test_logging_is_left_as_it_was(folder):
    load(str(folder), device="cpu")
    assert logging.root.manager.disable == logging.NOTSET
