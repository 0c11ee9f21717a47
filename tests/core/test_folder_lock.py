"""Two processes in one folder: the second is refused with one line, and nothing of the first is lost."""

import os
import subprocess
import sys

import pytest

from simeval.core.errors import ConfigError
from simeval.core.files import replace_file
from simeval.core.folder_lock import only_writer

HOLD = """
import sys
from pathlib import Path
from simeval.core.folder_lock import only_writer
with only_writer(Path(sys.argv[1]), "study"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_holds_is_refused_until_that_ends(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match="another simeval is writing to this study"), only_writer(tmp_path, "study"):
        pass
    holder.kill()
    holder.communicate()
    with only_writer(tmp_path, "study"):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyError), only_writer(tmp_path / "new", "study"):
        raise KeyError
    with only_writer(tmp_path / "new", "study"):
        pass


def test_a_folder_that_cannot_be_created_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"--out .*file/new: Not a directory"),
        only_writer(tmp_path / "file" / "new", "study"),
    ):
        pass


def test_a_file_that_another_process_is_writing_stays(tmp_path):
    """Removed, that process could not give it its name; what an ended process left is removed."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running, left = (tmp_path / f"study.json.{pid}.part" for pid in (os.getppid(), ended.pid))
    running.write_text("half")
    left.write_text("half")
    replace_file(tmp_path / "study.json", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.json", running.name]


def test_a_file_that_cannot_be_written_is_named_as_it_was_to_be(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        replace_file(tmp_path / "folder" / "study.json", b"whole")
    assert caught.value.filename == str(tmp_path / "folder" / "study.json")
