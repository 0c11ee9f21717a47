"""Who may import whom. An edge that is not in these tables is a decision about the design."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("envs", "perturbations", "simeval")

LEAVES = {"simeval.errors", "simeval.types"}
INTERNAL: dict[str, set[str]] = {
    # The two leaf packages know only themselves.
    "envs*": {"envs.*"},
    "perturbations*": {"perturbations*"},
    # The vocabulary.
    "simeval.texts": set(),
    "simeval.terminal": {"simeval.texts"},
    "simeval.sealed": {"simeval.errors", "simeval.files", "simeval.texts"},
    "simeval.recipes": {"simeval.errors", "simeval.files", "simeval.texts"},
    "simeval.manifests": {"simeval.config", "simeval.errors", "simeval.files", "simeval.texts"},
    "simeval.local_ray": set(),
    "simeval.cli_process": {"simeval.texts"} | {"simeval.errors", "simeval.json_output"},
    "simeval.errors": {"simeval.texts"},
    "simeval.types": {"simeval.errors"},
    "simeval.neighbours": set(),
    "simeval.seeding": {"simeval.types"},
    "simeval.kernels": {"envs.numerics"},
    "simeval.provenance": {"envs.opengl"} | {"simeval.kernels", "envs.base", "envs.numerics", "envs.rendering"},
    # What is asked for.
    "simeval.config": {"simeval.recipes", "simeval.texts"}
    | {"simeval.errors", "simeval.policies.bundled", "envs.numerics", "envs.suites"},
    "simeval.plugins": {"simeval.files"} | {"simeval.watch"} | {"simeval.errors", "perturbations.base"},
    "simeval.places": {"simeval.config", "simeval.errors", "simeval.policies.bundled"},
    "simeval.instructions": {
        *("simeval.errors", "envs.suites"),
        *("perturbations.base", "perturbations.instruction", "perturbations.spec"),
    },
    "simeval.plan": LEAVES
    | {"simeval", "simeval.config", "simeval.instructions", "simeval.plugins", "simeval.policies.bundled"}
    | {"envs.suites", "perturbations.base", "perturbations.spec"},
    "simeval.lines": {"simeval.errors"},
    "simeval.files": {"simeval.errors"},
    "simeval.limits": {"simeval.errors"},
    "simeval.watch": set(),
    "simeval.notices": {"simeval.errors"},
    "simeval.json_output": set(),
    "simeval.garbage": set(),
    "simeval.growth": {"simeval.errors", "simeval.config", "simeval.plan"},
    "simeval.join": {"perturbations.base", "simeval.errors"}
    | {"simeval.types", "simeval.audit.base", "simeval.stats.*"}
    | {"perturbations.condition", "perturbations.spec", "perturbations.term"},
    "simeval.comparison": {
        "simeval.kernels",
        "simeval.types",
        "simeval.errors",
        "simeval.audit.base",
        "simeval.store",
        "simeval.stats.*",
    },
    "simeval.findings": {
        *("simeval", "simeval.types", "simeval.errors", "simeval.kernels", "simeval.provenance", "simeval.store"),
        "simeval.audit.folder",
        *("simeval.analysis", "simeval.heat", "simeval.join", "simeval.across", "simeval.comparison"),
        *("simeval.stats.correlation", "simeval.stats.screening", "simeval.report.data", "envs.suites"),
    },
    "simeval.cli_reports": {"simeval.terminal", "simeval.texts"}
    | {"simeval.cli_options", "simeval.files", "simeval.json_output"}
    | {
        *("simeval", "simeval.errors", "simeval.comparison", "simeval.findings", "simeval.audit.*"),
        *("simeval.store", "simeval.report*", "simeval.plugins"),
    },
    "simeval.audit_config": {"simeval.config", "simeval.errors", "envs.numerics"},
    "simeval.cli_options": {"simeval.texts"} | {"simeval.json_output"} | {"simeval.errors"} | {"simeval.config"},
    "simeval.cli_numerics": {"envs.numerics"},
    "simeval.cli_audit": {"simeval.terminal"}
    | {"simeval.json_output"}
    | {
        "simeval",
        "simeval.api",
        "simeval.cli_numerics",
        "simeval.audit_config",
        "simeval.cli_options",
        "simeval.audit.*",
    },
    "simeval.audit.base": {"simeval.policies.base", "perturbations.condition"},
    "simeval.audit.replay": {
        *("simeval.types", "simeval.recorders", "simeval.senses"),
        *("envs.base", "perturbations.base", "perturbations.condition"),
    },
    "simeval.audit.run_frames": LEAVES
    | {"simeval.audit.base", "simeval.audit.replay", "simeval.instructions", "simeval.policies.base"}
    | {"simeval.seeding", "simeval.store", "envs.base", "envs.build", "envs.suites"}
    | {"perturbations.base", "perturbations.condition"},
    "simeval.audit.drawing": {
        *("simeval.audit.base", "simeval.cluster", "simeval.errors", "simeval.plugins", "envs.opengl"),
    },
    "simeval.audit.measure": LEAVES
    | {"simeval.audit.attention", "simeval.audit.base", "simeval.audit.representation", "simeval.policies.base"}
    | {"simeval.policies.representations", "simeval.stats.drift", "envs.base", "perturbations.condition"},
    "simeval.audit.folder": LEAVES
    | {"simeval.audit.base", "simeval.lines", "simeval.manifests", "simeval.sealed", "simeval.stats.drift"}
    | {"simeval.store"},
    "simeval.audit.summary": {"simeval.types", "simeval.audit.base", "simeval.stats.drift"},
    "simeval.audit.progress": {"simeval.json_output"},
    "simeval.report.audit_table": {"simeval.audit.summary", "simeval.report.tables", "simeval.report.words"},
    "simeval.audit.run": {"simeval.files"}
    | {"simeval.places"}
    | LEAVES
    | {"simeval", "simeval.api", "simeval.audit.*", "simeval.audit_config", "simeval.config", "simeval.plugins"}
    | {
        "simeval.kernels",
        "simeval.policies*",
        "simeval.provenance",
        "simeval.report.audit_table",
        "simeval.runner",
        "simeval.store",
    }
    | {"simeval.stats.drift", "simeval.cluster", "envs.base", "perturbations.spec"},
    "simeval.audit": set(),
    "simeval.audit.dataset_hub": {"simeval.errors", "simeval.policies.checkpoint"},
    "simeval.audit.dataset_files": {"simeval.audit.dataset_parts", "simeval.files", "simeval.texts"}
    | {
        *("simeval.audit.dataset_hub", "simeval.errors", "envs.base"),
        *("simeval.policies.cameras", "simeval.policies.checkpoint"),
    },
    "simeval.audit.dataset_parts": {"simeval.errors"},
    "simeval.audit.dataset_frames": {
        *("simeval.audit.base", "simeval.audit.dataset_files", "simeval.config", "simeval.errors"),
        *("simeval.instructions", "simeval.policies.base", "simeval.seeding"),
        *("envs.base", "envs.suites", "perturbations.base", "perturbations.spec"),
    },
    "simeval.audit.mini": {
        *("simeval.audit.base", "simeval.audit.mini_figures", "simeval.errors", "simeval.store"),
        *("perturbations.instruction", "perturbations.spec"),
    },
    "simeval.audit.mini_figures": {
        "simeval.audit.mini",
        "simeval.files",
        "simeval.report.figures.style",
        "perturbations.term",
    },
    "simeval.audit.representation": {"simeval.policies.representations", "simeval.stats.representation"},
    "simeval.audit.vectors": LEAVES
    | {"simeval.audit.base", "simeval.lines", "simeval.sealed", "simeval.texts", "simeval.audit.representation"},
    "simeval.audit.attention": {
        *("simeval.audit.representation", "simeval.errors", "simeval.files", "simeval.lettering"),
        *("simeval.policies.base", "simeval.policies.representations"),
    },
    "simeval.catalogue": {
        *("simeval", "simeval.errors", "simeval.config", "simeval.plugins", "simeval.policies*"),
        *("envs.suites", "perturbations.base"),
    },
    # Policies.
    "simeval.policies": set(),
    "simeval.policies.base": {"envs.base"},
    "simeval.policies.registry": LEAVES | {"simeval.policies*", "envs.suites"},
    "simeval.policies.bundled": set(),
    "simeval.policies.bundled.*": {"simeval.policies*", "envs.*", "perturbations.base"},
    "simeval.policies.server": {"simeval", "simeval.provenance", "simeval.errors", "simeval.policies.base"},
    "simeval.policies.*": {"envs.numerics"}
    | {
        *("simeval.errors", "simeval.garbage", "simeval.kernels", "simeval.policies.*", "envs.base"),
    },
    # The loop, and what runs it. None of these may write a run.
    "simeval.rollout": LEAVES
    | {"simeval.instructions", "simeval.seeding", "simeval.recorders", "simeval.policies.base"}
    | {"simeval.senses", "simeval.interventions", "simeval.tally"}
    | {"envs.base", "envs.suites", "perturbations.base", "perturbations.spec"},
    "simeval.senses": {"simeval.mishaps", "simeval.policies.base"}
    | {"envs.base", "perturbations.base", "perturbations.condition"},
    "simeval.interventions": {"envs.base", "perturbations.base", "perturbations.condition"},
    "simeval.mishaps": {"envs.base", "simeval.policies.base"},
    "simeval.tally": LEAVES
    | {"simeval.senses", "simeval.interventions", "simeval.mishaps"}
    | {"envs.base", "perturbations.base", "perturbations.condition"},
    "simeval.recorders": {"simeval.texts"} | {"simeval.policies.base"},
    "simeval.worker": {"simeval.notices", "simeval.tally", "simeval.watch"}
    | {"envs.opengl"}
    | LEAVES
    | {"simeval.rollout", "simeval.recorders", "simeval.policies.base", "simeval.policies.registry", "envs.build"}
    | {"simeval.kernels", "simeval.plugins", "simeval.cluster", "simeval.nodes"},
    "simeval.schedule": {"simeval.types"},
    "simeval.cluster": {"simeval.local_ray"} | {"simeval.errors", "envs.numerics"},
    "simeval.nodes": {
        *("simeval", "simeval.errors", "simeval.cluster", "simeval.kernels", "simeval.provenance"),
        *("simeval.policies*", "envs.assets", "envs.base", "envs.libero_files"),
    },
    "simeval.runner": {"simeval.notices", "simeval.policies.server", "simeval.watch"}
    | LEAVES
    | {"simeval.cluster", "simeval.kernels", "simeval.nodes", "simeval.schedule", "simeval.worker"}
    | {"simeval.policies.base", "simeval.policies.registry"},
    # What came of it: store <- analysis <- report.
    "simeval.store": {"simeval.files", "simeval.manifests", "simeval.sealed", "simeval.texts"}
    | {"simeval.places"}
    | LEAVES
    | {"simeval.kernels", "simeval.config", "simeval.flat", "simeval.lines", "simeval.recorders", "simeval.rows"},
    "simeval.rows": {"envs.suites", "simeval.sealed", "simeval.texts"} | LEAVES,
    "simeval.flat": {"simeval.garbage", "simeval.types"},
    "simeval.stats*": {"simeval.stats.*"},
    "simeval.groups": {"simeval.types", "simeval.stats.*"},
    "simeval.following": {"simeval.types", "simeval.groups", "simeval.stats.*"},
    "simeval.flagged": {"simeval.groups"},
    "simeval.analysis": {"simeval.types", "simeval.groups", "simeval.following", "simeval.flagged", "simeval.stats.*"},
    "simeval.report*": {"simeval.texts"}
    | {
        *("simeval.types", "simeval.report*", "simeval.analysis", "simeval.comparison", "simeval.stats.*"),
        *("simeval.errors", "simeval.files", "simeval.heat", "simeval.across"),
    },
    "simeval.heat": {"simeval.types", "simeval.groups", "simeval.stats.*"},
    "simeval.across": {"simeval.stats.*"},
    "simeval.summary": {"simeval", "simeval.store", "simeval.analysis", "simeval.report"},
    "simeval.progress": {"simeval.json_output", "simeval.types", "simeval.plan"},
    # It draws stored states again, so it needs scenes; it must not run anything.
    "simeval.video": LEAVES
    | {"simeval", "simeval.store", "simeval.recorders", "simeval.seeding", "simeval.config", "simeval.api"}
    | {"simeval.files", "simeval.plugins", "simeval.senses"}
    | {"envs.base", "envs.build", "envs.suites", "perturbations.spec"},
    "simeval.lettering": set(),
    "simeval.preview": {
        *("simeval.types", "simeval.lettering", "simeval.policies.base", "simeval.recorders", "simeval.rollout"),
        *("envs.*", "perturbations.base", "perturbations.spec"),
    },
    "simeval.testing": {
        *("simeval.seeding", "envs.base", "envs.build", "envs.libero_files"),
        *("perturbations.base", "perturbations.condition", "perturbations.spec"),
    },
    # It looks at the machine, not at runs; whatever may crash it starts as a process of its own.
    "simeval.doctor*": {"simeval.policies.checkpoint", "simeval.policies.checkpoint_files"}
    | {
        *("simeval.doctor*", "simeval.errors", "simeval.provenance"),
        *("envs.base", "envs.build", "envs.egl", "envs.libero_files", "envs.opengl"),
    },
    # The composition root and its command line.
    "simeval.api": {"simeval.limits"}
    | {"simeval.files"}
    | {"envs.opengl"}
    | {
        *LEAVES,
        *("simeval", "simeval.config", "simeval.plan", "simeval.policies*", "simeval.progress", "simeval.provenance"),
        *("simeval.plugins", "simeval.places"),
        *("simeval.cluster", "simeval.runner", "simeval.store", "simeval.worker"),
        *("envs.base", "envs.libero_files", "envs.assets", "envs.numerics", "envs.rendering", "simeval.preview"),
        *("simeval.audit.folder", "simeval.audit.progress", "simeval.audit.run", "simeval.audit_config"),
    },
    "simeval.cli": {"simeval.terminal", "simeval.texts"}
    | {"simeval.cli_process", "simeval.json_output"}
    | {"simeval.places"}
    | {
        *("simeval", "simeval.errors", "simeval.config", "simeval.api", "simeval.plan", "simeval.progress"),
        *("simeval.cli_audit", "simeval.cli_numerics", "simeval.cli_options"),
        *(
            "simeval.cli_reports",
            "simeval.catalogue",
            "simeval.doctor",
            "simeval.growth",
            "simeval.store",
            "simeval.summary",
            "simeval.video",
            "simeval.stats.power",
        ),
    },
    "simeval": {"simeval.neighbours"}
    | LEAVES
    | {"envs", "simeval.api", "simeval.config", "simeval.plan", "simeval.store"}
    | {"simeval.audit.folder", "simeval.comparison", "simeval.findings"},
}
"""Our modules -> ours that they may import, anywhere in the file. An exact name counts, else the first pattern."""

OUTSIDE: dict[str, set[str]] = {
    "envs.base": {"numpy"},
    "envs.suites": set(),
    "envs.words": set(),
    "envs.numerics": set(),
    "envs.toy": {"numpy", "mujoco"},
    "envs.libero_files": {"numpy", "libero", "huggingface_hub"},
    "envs.gymnasium_env": {"numpy", "gymnasium"},
    "envs*": {"numpy", "mujoco", "robosuite"},
    "perturbations*": {"numpy", "cv2"},
    "simeval.texts": set(),
    "simeval.errors": set(),
    "simeval.files": {"imageio"},
    "simeval.sealed": set(),
    "simeval.manifests": {"msgspec"},
    "simeval.recipes": {"yaml"},
    "simeval.terminal": {"rich"},
    "simeval.types": set(),
    "simeval.plan": set(),
    "simeval.plugins": set(),
    "simeval.places": set(),
    "simeval.instructions": {"numpy"},
    "simeval.catalogue": set(),
    "simeval.worker": {"ray", "threadpoolctl"},
    "simeval.kernels": {"numpy", "cv2", "torch", "threadpoolctl"},
    "simeval.summary": {"rich"},
    "simeval.api": {"rich"},
    "simeval.limits": set(),
    "simeval.watch": set(),
    "simeval.notices": {"ray"},
    "simeval.json_output": set(),
    "simeval.cli_process": {"typer"},
    "simeval.config": {"yaml"},
    "simeval.seeding": {"numpy"},
    "simeval.recorders": {"numpy"},
    "simeval.rollout": {"numpy"},
    "simeval.senses": {"numpy"},
    "simeval.interventions": {"numpy"},
    "simeval.mishaps": {"numpy"},
    "simeval.tally": {"numpy"},
    "simeval.provenance": {"mujoco", "OpenGL"},
    "simeval.runner": {"ray"},
    "simeval.schedule": set(),
    "simeval.cluster": {"ray"},
    "simeval.local_ray": {"ray"},
    "simeval.nodes": {"ray"},
    "simeval.flat": {"pandas"},
    "simeval.rows": {"msgspec"},
    "simeval.policies.scripted": {"numpy", "cv2"},
    "simeval.policies.base": {"numpy"},
    "simeval.policies.registry": set(),
    "simeval.policies.server": {"ray"},
    "simeval.policies.bundled": set(),
    "simeval.policies.bundled.*": {"numpy", "torch", "lerobot", "transformers", "tokenizers", "safetensors"},
    "simeval.policies*": {"numpy", "torch", "lerobot", "huggingface_hub", "httpx", "safetensors", "transformers"}
    | {"peft"},
    "simeval.stats*": {"numpy", "scipy", "statsmodels"},
    "simeval.analysis": {"pandas"},
    "simeval.groups": {"pandas"},
    "simeval.audit_config": set(),
    "simeval.cli_options": {"typer"},
    "simeval.cli_numerics": set(),
    "simeval.cli_audit": {"typer", "rich"},
    "simeval.audit.base": set(),
    "simeval.audit.replay": {"numpy"},
    "simeval.audit.run_frames": {"numpy"},
    "simeval.audit.drawing": {"ray"},
    "simeval.audit.measure": {"numpy"},
    "simeval.audit.folder": set(),
    "simeval.audit.summary": {"numpy"},
    "simeval.audit.progress": {"rich"},
    "simeval.audit.run": {"rich"},
    "simeval.audit": set(),
    "simeval.audit.dataset_parts": set(),
    "simeval.audit.dataset_hub": {"lerobot", "datasets", "huggingface_hub"},
    "simeval.audit.dataset_files": {"numpy", "lerobot"},
    "simeval.audit.dataset_frames": {"numpy"},
    "simeval.audit.mini": {"numpy"},
    "simeval.audit.representation": {"numpy"},
    "simeval.audit.vectors": {"numpy"},
    "simeval.audit.attention": {"numpy", "cv2"},
    "simeval.audit.mini_figures": {"matplotlib"},
    "simeval.growth": set(),
    "simeval.garbage": set(),
    "simeval.lines": set(),
    "simeval.neighbours": set(),
    "simeval.comparison": {"numpy", "pandas"},
    "simeval.cli_reports": {"typer", "rich"},
    "simeval.findings": {"numpy"},
    "simeval.join": {"numpy", "pandas"},
    "simeval.following": {"pandas"},
    "simeval.flagged": {"pandas"},
    "simeval.store": {"msgspec", "pandas"},
    "simeval.report*": {"rich", "matplotlib", "jinja2"},
    "simeval.heat": {"numpy", "pandas"},
    "simeval.across": set(),
    "simeval.progress": {"rich"},
    "simeval.video": {"numpy", "cv2", "av"},
    "simeval.lettering": {"numpy", "cv2"},
    "simeval.preview": {"numpy"},
    "simeval.testing": {"numpy"},
    "simeval.cli": {"typer", "rich"},
    "simeval.doctor*": {"numpy", "mujoco", "torch", "ray", "huggingface_hub", "packaging"},
    "simeval": set(),
}
"""Our modules -> distributions that they may import, anywhere in the file; the standard library is free."""

HEAVY = {"torch", "lerobot", "ray", "mujoco", "matplotlib", "robosuite", "libero", "huggingface_hub"}
"""Too slow to load for `simeval --help`: within `simeval` only inside functions."""

TRAINING = {f"simeval.policies.bundled.{name}" for name in ("architecture", "dataset", "fitting", "objective")}
"""Torch is what they are about, and nothing that evaluates imports them; a test below holds that."""


@dataclass(frozen=True)
class Import:
    module: str
    target: str
    names: tuple[str, ...]
    line: int
    in_function: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))}


def imports_of(module: str) -> Iterator[Import]:
    """Every import statement of a module, also those inside functions."""

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typed = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, (), child.lineno, inside, typed)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}:{child.lineno}: relative import"
                assert child.module is not None
                names = tuple(alias.name for alias in child.names)
                submodules = [f"{child.module}.{name}" for name in names if f"{child.module}.{name}" in MODULES]
                for target in submodules or [child.module]:
                    yield Import(module, target, names, child.lineno, inside, typed)
            yield from walk(child, inside, typed)

    yield from walk(ast.parse(MODULES[module].read_text()), in_function=False, for_types=False)


def allowed(module: str, table: dict[str, set[str]]) -> set[str]:
    """The entry of a module: its own, or that of the first pattern that fits."""
    if module in table:
        return table[module]
    found = next((entry for pattern, entry in table.items() if fnmatchcase(module, pattern)), None)
    assert found is not None, f"{module} is in no table; say what it may import"
    return found


def is_ours(target: str) -> bool:
    return target.split(".")[0] in OURS


def fits(target: str, patterns: set[str]) -> bool:
    return any(fnmatchcase(target, pattern) for pattern in patterns)


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_what_the_design_allows(module):
    ours, outside = allowed(module, INTERNAL), allowed(module, OUTSIDE)
    for found in imports_of(module):
        top = found.target.split(".")[0]
        if is_ours(found.target):
            # What a package offers at its top belongs to the package.
            assert fits(found.target, ours), f"{found}, which the design does not allow"
        elif top not in sys.stdlib_module_names:
            assert top in outside or found.for_types, f"{found}, which the design does not allow"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("simeval") and name not in TRAINING])
def test_what_is_slow_to_load_is_imported_inside_functions(module):
    slow = [i for i in imports_of(module) if i.target.split(".")[0] in HEAVY and not i.in_function and not i.for_types]
    assert [str(found) for found in slow] == []


def test_nothing_that_evaluates_needs_what_trains():
    users = {m for m in MODULES if any(found.target in TRAINING for found in imports_of(m))}
    assert users <= {*TRAINING, "simeval.policies.bundled.train"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("simeval.report")])
def test_a_report_draws_what_others_computed(module):
    """It gets values: from the statistics it takes types, not functions."""
    for found in imports_of(module):
        if found.target.startswith(("simeval.analysis", "simeval.stats")):
            functions = [name for name in found.names if name[0].islower()]
            assert functions == [], f"{found}: {functions}"


def test_the_tables_name_no_module_that_is_gone():
    gone = [name for table in (INTERNAL, OUTSIDE) for name in table if not any(fnmatchcase(m, name) for m in MODULES)]
    assert gone == []


def test_imports_inside_functions_are_seen():
    """The walker would be worth nothing if it only saw the top of a file."""
    assert any(i.target == "ray" and i.in_function for i in imports_of("simeval.runner"))
    assert any(i.target == "mujoco" and i.for_types for i in imports_of("perturbations.handles"))
    assert any(i.target == "simeval.summary" and i.in_function for i in imports_of("simeval.cli"))


@pytest.mark.parametrize("module", ["simeval", "simeval.cli", "simeval.plan"])
def test_importing_is_cheap(module):
    slow = {"torch", "ray", "mujoco", "matplotlib", "lerobot", "scipy", "pandas", "robosuite", "libero", "statsmodels"}
    slow |= {"numpy"} if module != "simeval.plan" else set()
    code = f"import sys, {module}; print(*sorted({slow!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
