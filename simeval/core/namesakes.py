"""Makes `envs` and `perturbations` importable as simeval's packages, whatever else has these names on Python's path.

A user's project may have packages of the same names. If a user's package and simeval's have no module in common, they
are merged: the user's package, with simeval's modules in it.

Non-obvious behaviour:
- Nothing is searched for before one of the two is imported: importing simeval costs nothing.
- If they do collide, a process of simeval (the command line, a Ray worker) uses simeval's packages alone. In a user's
  process that would give the user's code the wrong modules, so the import fails with one line.
"""

import itertools
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

NAMES = ("envs", "perturbations")
_HOME = Path(__file__).resolve().parents[2]


class _Merged(SourceFileLoader):
    """Loads a user's package, and then runs the `__init__` of simeval's package of that name."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _begin(module.__name__)


class _Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname not in NAMES:
            return None
        ours, first = PathFinder.find_spec(fullname, [str(_HOME)]), PathFinder.find_spec(fullname)
        if ours is None or first is None or _same(first.origin, ours.origin):
            return first or ours
        folders = list(first.submodule_search_locations or [])
        bare = first.origin is None  # a folder without __init__.py
        reason = _collision(fullname, Path(folders[0], "__init__.py") if bare else Path(str(first.origin)))
        if reason is None and bare:
            (ours.submodule_search_locations or []).extend(folders)
            return ours
        if reason is None:
            (first.submodule_search_locations or []).append(str(_HOME / fullname))
            first.loader = _Merged(fullname, str(first.origin))
            return first
        if _is_our_process():
            return ours
        raise ImportError(reason)


def settle() -> None:
    """Make `envs` and `perturbations` be, or contain, the packages beside this one.

    Raises:
        ImportError: another package of that name is imported already, and has a module in common with ours.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in NAMES:
        imported = sys.modules.get(name)
        if imported is None:
            continue
        folders = list(getattr(imported, "__path__", []))
        origin = imported.__file__ or str(Path(*folders[:1], "__init__.py"))
        if str(_HOME / name) in folders or _same(origin, str(_HOME / name / "__init__.py")):
            continue
        reason = _collision(name, Path(origin))
        if reason is not None:
            raise ImportError(reason)
        imported.__path__ = [*folders, str(_HOME / name)]
        _begin(name)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()


def _begin(name: str) -> None:
    """Run the `__init__` of our package of that name, which for instance registers the axes."""
    path = _HOME / name / "__init__.py"
    exec(compile(path.read_bytes(), str(path), "exec"), {"__name__": f"{name}.__init__", "__file__": str(path)})


def _collision(name: str, other: Path) -> str | None:
    """Why another package cannot be merged with ours; `None` if it can.

    Args:
        name: name of both packages.
        other: the file that the other package is loaded from.
    """
    what = "it is no package"
    if other.name == "__init__.py":
        common = sorted(_modules(other.parent) & _modules(_HOME / name))
        if not common:
            return None
        what = f"both have a module '{common[0]}'"
    shown = other if other.exists() else other.parent
    return (
        f"simeval needs its own package '{name}' ({_HOME / name}), and {shown} comes before it: {what}; rename that "
        "one, or take its folder off Python's path (PYTHONPATH, or where Python was started)"
    )


def _modules(folder: Path) -> set[str]:
    modules = {
        entry.name.partition(".")[0]
        for entry in folder.iterdir()
        if entry.suffix in (".py", ".so", ".pyd") or (entry / "__init__.py").exists()
    }
    return modules - {"__init__"}


def _is_our_process() -> bool:
    """Whether this process runs simeval alone: the command line, a module started with `-m`, or a Ray worker."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    started = [name for flag, name in itertools.pairwise(sys.orig_argv) if flag == "-m"]
    return program in ("simeval", "default_worker.py") or any(name.partition(".")[0] == "simeval" for name in started)
