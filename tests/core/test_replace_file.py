"""A file is replaced as a whole, and what other processes are writing is left alone."""

import os
import subprocess
import sys

import pytest

from simeval.core.files import replace_file


def test_a_file_that_another_process_is_writing_stays(tmp_path):
    """Removed, that process could not give it its name; what an ended process left is removed."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running, left = (tmp_path / f"study.json.{pid}.part" for pid in (os.getppid(), ended.pid))
    running.write_text("half")
    left.write_text("half")
    replace_file(tmp_path / "study.json", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.json", running.name]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        replace_file(tmp_path / "folder" / "study.json", b"whole")
    assert caught.value.filename.startswith(str(tmp_path / "folder" / "study.json"))
