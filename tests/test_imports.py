"""What import-linter cannot say: when slow packages are loaded. Which package may know which: pyproject.toml."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import envs
import perturbations
import simeval

SLOW = {"torch", "lerobot", "ray", "mujoco", "matplotlib", "robosuite", "libero", "huggingface_hub"}
"""Too slow for `simeval --help`: within simeval they are imported inside functions only."""

TRAINING = {f"simeval.policies.bundled.{name}" for name in ("architecture", "dataset", "fitting", "objective")}
"""Torch is what they are about, and nothing that evaluates imports them (a contract in pyproject.toml)."""

ROOT = Path(simeval.__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted((ROOT / "simeval").rglob("*.py"))
}


def imports_at_the_top(source: str) -> Iterator[str]:
    """Names of the packages that are imported when the module is."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name.split(".")[0] for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield str(child.module).split(".")[0]
            yield from walk(child)

    yield from walk(ast.parse(source))


@pytest.mark.parametrize("module", [name for name in MODULES if name not in TRAINING])
def test_slow_packages_are_imported_inside_functions(module):
    assert SLOW & set(imports_at_the_top(MODULES[module].read_text())) == set()


def test_imports_inside_functions_are_not_at_the_top():
    code = "import a\nif x:\n    from b.c import d\nif TYPE_CHECKING:\n    import e\ndef f():\n    import g\n"
    assert list(imports_at_the_top(code)) == ["a", "b"]


@pytest.mark.parametrize("module", ["envs.build", "envs.sim.rendering", "simeval.runner.worker", "simeval.media.video"])
def test_mujoco_is_not_imported_before_its_backend_is_chosen(module):
    """MuJoCo takes the backend that MUJOCO_GL names when it is imported, and `make_env` is what sets that."""
    code = f"import sys, {module}; print('mujoco' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_images_are_drawn_whether_or_not_mujoco_gl_is_set():
    code = (
        "from types import SimpleNamespace\nfrom envs.build import EnvCache\nenv = EnvCache(None).get('toy', 0, 32)\n"
        "env.reset(SimpleNamespace(init_state=0, env_seed=0, settle_steps=0))\nprint(*env.observe().images)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.split() == ["agentview", "wrist"]


@pytest.mark.parametrize("module", ["simeval", "simeval.cli.app", "simeval.config.plan"])
def test_importing_is_cheap(module):
    slow = {*SLOW, "scipy", "pandas", "statsmodels"} | ({"numpy"} if module != "simeval.config.plan" else set())
    code = f"import sys, {module}; print(*sorted({slow!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("package", [envs, perturbations, simeval])
def test_every_folder_of_code_is_a_package(package):
    """A folder without `__init__.py` would be left out of the wheel in silence."""
    folders = {path.parent for path in Path(package.__file__).parent.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
