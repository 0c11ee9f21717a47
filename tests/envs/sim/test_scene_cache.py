"""Compiled scenes on disk: the same to the last bit, never out of date, never in the way."""

import errno
import os
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.build import make_env
from envs.libero.files import resolve_assets
from envs.sim import scene_cache
from envs.sim.compile import compile_in_subprocess

XML = """
<mujoco>
  <asset><hfield name="hills" nrow="2" ncol="2" size="1 1 1 1" file="{file}"/></asset>
  <worldbody><geom type="hfield" hfield="hills"/><body><freejoint/><geom size="{size}"/></body></worldbody>
</mujoco>
"""
LARGE = """
<mujoco>
  <asset><texture name="t" type="2d" builtin="flat" width="4096" height="4096"/></asset>
  <worldbody><body><freejoint/><geom size=".1"/></body></worldbody>
</mujoco>
"""
Disk = namedtuple("Disk", "free")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "simeval" / "scenes"


@pytest.fixture
def compilers(monkeypatch):
    """How many processes were started to compile."""
    started, run = [], subprocess.run

    def counted(*args, **options):
        started.append(args)
        return run(*args, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    return started


def hills(path, height) -> None:
    with path.open("wb") as file:
        np.array([2, 2], np.int32).tofile(file)
        np.array([0, 0, 0, height], np.float32).tofile(file)


@pytest.fixture
def xml(tmp_path):
    hills(tmp_path / "hills.bin", 1)
    return XML.format(file=tmp_path / "hills.bin", size=0.1)


def saved(model) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def test_a_scene_is_compiled_once_and_the_same_to_the_last_bit(here, compilers, xml):
    first, second = compile_in_subprocess(xml), compile_in_subprocess(xml)
    assert len(compilers) == 1
    assert saved(first) == saved(second) == saved(mujoco.MjModel.from_xml_string(xml))
    assert len(list(here.iterdir())) == 1


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EROFS])
def test_a_cache_that_may_only_be_read_is_used(here, compilers, reason, monkeypatch, can_share):
    def refused(path, *_args, **_times):
        raise OSError(reason, os.strerror(reason), str(path))

    whole = saved(compile_in_subprocess(LARGE))
    monkeypatch.setattr(os, "utime", refused)
    assert saved(compile_in_subprocess(LARGE)) == whole
    assert len(compilers) == 1
    (pages,) = here.glob("*.pages")
    again = compile_in_subprocess(LARGE)
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(pages))]
    assert mapped
    assert again.ntex == 1


def test_another_description_or_another_file_is_another_scene(here, compilers, xml, tmp_path):
    compile_in_subprocess(xml)
    assert compile_in_subprocess(xml.replace('size="0.1"', 'size="0.2"')).geom_size[1, 0] == 0.2
    times = (tmp_path / "hills.bin").stat()
    hills(tmp_path / "hills.bin", 0.5)
    os.utime(tmp_path / "hills.bin", ns=(times.st_atime_ns, times.st_mtime_ns))
    compile_in_subprocess(xml)
    assert len(compilers) == len(list(here.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_compiled_again(here, compilers, xml, damage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MuJoCo writes a log about it
    whole = saved(compile_in_subprocess(xml))
    (file,) = here.iterdir()
    file.write_bytes(file.read_bytes()[:200] if damage is None else damage)
    assert saved(compile_in_subprocess(xml)) == saved(compile_in_subprocess(xml)) == whole
    assert len(compilers) == 2


def test_a_description_that_mujoco_rejects_says_why_and_is_not_kept(here, xml):
    for broken, reason in (("<mujoco", "XML"), (xml.replace("hills.bin", "gone.bin"), "gone.bin")):
        with pytest.raises(ValueError, match=reason):
            compile_in_subprocess(broken)
    assert not here.exists()


def test_what_was_used_longest_ago_goes_first(here, xml, monkeypatch):
    scenes = [xml.replace('size="0.1"', f'size="0.{k}"') for k in (1, 2, 3)]
    for age, scene in zip((30, 20), scenes, strict=False):
        compile_in_subprocess(scene)
        path = here / f"{scene_cache.digest(scene)}.mjb"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    compile_in_subprocess(scenes[0])  # used again
    size = next(here.iterdir()).stat().st_size
    killed = here / "tmp_of_a_process_that_was_killed"
    killed.write_bytes(bytes(size))
    os.utime(killed, (1, 1))
    monkeypatch.setattr(scene_cache, "LIMIT", 2.5 * size)
    compile_in_subprocess(scenes[2])
    assert {path.stem for path in here.iterdir()} == {scene_cache.digest(scenes[k]) for k in (0, 2)}


def test_a_scene_that_there_is_no_room_for_is_compiled_all_the_same(here, compilers, xml, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scene_cache, "LIMIT", 10)
        compile_in_subprocess(xml)
        patch.undo()
        patch.setattr(shutil, "disk_usage", lambda _: Disk(scene_cache.SPARE))
        compile_in_subprocess(xml)
        patch.undo()
        patch.setattr(shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        compile_in_subprocess(xml)
    assert list(here.iterdir()) == []
    assert len(compilers) == 3
    here.rmdir()
    here.write_text("a file where the folder should be")
    assert compile_in_subprocess(xml).ngeom == 2
    assert len(compilers) == 4


def test_tasks_with_the_same_scene_compile_it_once(here, compilers):
    for task in (0, 2):
        make_env("libero_spatial", task, 64, resolve_assets("bundled")).close()
    assert len(compilers) == len(list(here.glob("*.mjb"))) == 1
    assert {file.suffix for file in here.iterdir()} <= {".mjb", ".pages"}


def test_a_large_scene_is_shared_from_the_first_time_on_and_its_pages_are_part_of_the_limit(
    here, compilers, monkeypatch, can_share
):
    monkeypatch.setattr(scene_cache, "LIMIT", 120_000_000)
    first, second = compile_in_subprocess(LARGE), compile_in_subprocess(LARGE)
    assert len(compilers) == 1
    assert saved(first) == saved(second)
    assert sorted(file.suffix for file in here.iterdir()) == [".mjb", ".pages"]
    assert sum(str(here) in line for line in Path("/proc/self/maps").read_text().splitlines()) == 2
    other = LARGE.replace('"t"', '"other"')
    compile_in_subprocess(other)
    assert {file.stem for file in here.iterdir()} == {scene_cache.digest(other)}
    assert saved(first) == saved(second), "a file that was deleted stays mapped"


def test_a_large_scene_is_not_shared_where_there_is_no_room(here, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(scene_cache.SPARE))
    assert compile_in_subprocess(LARGE).ntex == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("damaged", [".mjb", ".pages"])
def test_where_the_two_files_of_a_scene_differ_it_is_compiled_again(here, compilers, damaged, can_share):
    whole = saved(compile_in_subprocess(LARGE))
    (file,) = here.glob(f"*{damaged}")
    content = bytearray(file.read_bytes())
    content[30_000_000:30_100_000] = bytes(range(250)) * 400
    file.write_bytes(content)
    assert saved(compile_in_subprocess(LARGE)) == whole
    assert saved(compile_in_subprocess(LARGE)) == whole
    assert len(compilers) == 2


def test_what_cannot_be_looked_at_in_the_cache_is_passed_over(here, compilers, monkeypatch, can_share):
    compile_in_subprocess(LARGE)
    (here / "dangling").symlink_to(here / "nowhere")
    (here / "folder").mkdir()
    monkeypatch.setattr(scene_cache, "LIMIT", 120_000_000)
    os.utime(here / "folder", (1, 1))
    assert compile_in_subprocess(LARGE).ntex == 1
    assert len(compilers) == 1
