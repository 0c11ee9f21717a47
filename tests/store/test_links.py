"""A run folder may come from a stranger: nothing is written through a link in it."""

import shutil
from pathlib import Path

import pytest
from helpers import call, lines, refusal

from simeval.core.files import whole_file
from simeval.rollout.trace import PackedTrace

TOY = ("--suite", "toy", "--tasks", "0", "--init-states", "0-1", "--policy", "seeker", "--workers", "0")
AUDIT = ("--perturb", "noise:0.1", "--max-frames", "2")
KEY = "ssh-ed25519 AAAA without an end of line"
"""A file of the person who got the folder. To a writer of rows it would be one torn line."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("links") / "run"
    for words in (("run", *TOY, "--out", folder), ("audit", folder, *AUDIT), ("report", folder)):
        assert call(*words).code == 0
    return folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def replaced(path: Path, target: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("videos", ("video", "RUN")),
        ("report", ("report", "RUN")),
        ("report/figures", ("report", "RUN")),
        ("report/data", ("report", "RUN")),
        ("audit", ("audit", "RUN", "--perturb", "noise:0.2")),
        ("audit/attention", ("audit", "RUN", "--perturb", "noise:0.2")),
        ("traces", ("run", "--resume", "RUN", "--grow", "--init-states", "0-2")),
        ("traces/toy", ("run", "--resume", "RUN", "--grow", "--init-states", "0-2")),
        ("traces/toy/0", ("run", "--resume", "RUN", "--grow", "--init-states", "0-2")),
    ],
)
def test_a_folder_that_leads_out_is_not_written_to(folder, elsewhere, name, words):
    replaced(folder / name, elsewhere)
    called = call(*(folder if word == "RUN" else word for word in words))
    assert called.code == 2
    last = called.err.splitlines()[-1]
    assert last.startswith(f"simeval: {folder / name}")
    assert f": is a link out of the run folder, to {elsewhere}" in last
    assert "Traceback" not in called.err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("episodes.jsonl", ("run", "--resume", "RUN")),
        ("episodes.jsonl", ("run", *TOY, "--out", "RUN")),
        ("audit/drift.jsonl", ("audit", "RUN", *AUDIT)),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_rows_are_not_appended_through_a_link(folder, elsewhere, name, words, inside):
    """Nor is a last line without an end cut off there."""
    target = (folder if inside else elsewhere) / "authorized_keys"
    target.write_text(KEY)
    replaced(folder / name, target)
    said = refusal(*(folder if word == "RUN" else word for word in words))
    assert said == f"{folder / name}: is a link, to {target}; to append to it, put the file itself here"
    assert target.read_text() == KEY


@pytest.mark.parametrize(
    ("pattern", "words"), [("report/**/*.*", ("report", "RUN")), ("manifest.json", ("run", "--resume", "RUN"))]
)
def test_whole_files_take_the_place_of_a_link(folder, elsewhere, pattern, words):
    victims = {}
    for number, path in enumerate(sorted(folder.glob(pattern))):
        victims[path] = elsewhere / str(number)
        victims[path].write_bytes(path.read_bytes())
        before = victims[path].stat().st_mtime_ns, victims[path].read_bytes()
        replaced(path, victims[path])
        victims[path] = victims[path], before
    assert victims
    grow = ("--grow", "--init-states", "0-2") if words[0] == "run" else ()
    assert call(*(folder if word == "RUN" else word for word in words), *grow).code == 0
    for path, (victim, before) in victims.items():
        assert not path.is_symlink()
        assert (victim.stat().st_mtime_ns, victim.read_bytes()) == before


def test_unfinished_files_are_not_written_through_a_link(tmp_path, elsewhere):
    victim = elsewhere / "key"
    victim.write_text(KEY)
    (tmp_path / "r0.part").symlink_to(victim)
    PackedTrace(b"x").save(tmp_path / "r0.npz")
    with whole_file(tmp_path / "a.txt") as partial:
        name = partial
        partial.write_text("x")
    name.symlink_to(victim)
    with whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("y")
    assert victim.read_text() == KEY
    assert (tmp_path / "a.txt").read_text() == "y"


@pytest.mark.parametrize("name", ["traces", "videos", "report", "episodes.jsonl"])
def test_a_link_in_a_circle_is_one_line(folder, name):
    replaced(folder / name, folder / name)
    verb = {"videos": ("video", folder), "report": ("report", folder)}
    assert str(folder / name) in refusal(*verb.get(name, ("run", "--resume", folder, "--grow", "--init-states", "0-2")))


def test_a_folder_that_is_a_link_itself_is_used(folder, elsewhere):
    shutil.move(folder, elsewhere / "run")
    folder.symlink_to(elsewhere / "run")
    (folder / "report").rename(folder / "pages")
    (folder / "report").symlink_to("pages")
    for words in (("report", folder), ("run", "--resume", folder, "--grow", "--init-states", "0-2")):
        assert call(*words).code == 0
    assert len(lines(folder)) == 3


@pytest.mark.parametrize("name", ["videos/toy_0_init00_none_r0.mp4", "audit/attention/noise=0.1.png"])
def test_a_report_does_not_pass_on_what_a_link_leads_to(folder, elsewhere, name):
    secret = elsewhere / f"mine{Path(name).suffix}"
    secret.write_text(KEY)
    (folder / name).parent.mkdir(exist_ok=True)
    replaced(folder / name, secret)
    line = refusal("report", folder)
    assert f"{folder / name}: is a link out of the run folder" in line
