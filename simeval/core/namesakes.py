"""`envs` and `perturbations` are the packages beside this one, whatever else of those names is on Python's path.

Both are names that a user's own project may have as well. Where the two have no module in common, both are there: the
user's own package, and within it what simeval needs of its own.

Non-obvious behaviour:
- Nothing is looked for before somebody imports one of the two: importing simeval stays free.
- A process of our own (the command line, a Ray worker) goes on with our packages alone where they do collide. In a
  user's process that would give the user's own code the wrong modules, so it ends in one line.
"""

import itertools
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

NAMES = ("envs", "perturbations")
_HOME = Path(__file__).resolve().parents[2]


class _Both(SourceFileLoader):
    """Loads a user's package, and then what ours does when it is imported."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _begin(module.__name__)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname not in NAMES:
            return None
        ours, found = PathFinder.find_spec(fullname, [str(_HOME)]), PathFinder.find_spec(fullname)
        if ours is None or found is None or _same(found.origin, ours.origin):
            return found or ours
        theirs = list(found.submodule_search_locations or [])
        bare = found.origin is None  # a folder without __init__.py
        reason = _collision(fullname, Path(theirs[0], "__init__.py") if bare else Path(str(found.origin)))
        if reason is None and bare:
            (ours.submodule_search_locations or []).extend(theirs)
            return ours
        if reason is None:
            (found.submodule_search_locations or []).append(str(_HOME / fullname))
            found.loader = _Both(fullname, str(found.origin))
            return found
        if _is_our_process():
            return ours
        raise ImportError(reason)


def settle() -> None:
    """See to it that `envs` and `perturbations` are, or have in them, those beside this package.

    Raises:
        ImportError: another of that name is imported already, and has a module in common with ours.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in NAMES:
        there = sys.modules.get(name)
        if there is None:
            continue
        folders = list(getattr(there, "__path__", []))
        origin = there.__file__ or str(Path(*folders[:1], "__init__.py"))
        if str(_HOME / name) in folders or _same(origin, str(_HOME / name / "__init__.py")):
            continue
        reason = _collision(name, Path(origin))
        if reason is not None:
            raise ImportError(reason)
        there.__path__ = [*folders, str(_HOME / name)]
        _begin(name)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()


def _begin(name: str) -> None:
    """Do what importing our package of that name does, for instance to register the axes."""
    path = _HOME / name / "__init__.py"
    exec(compile(path.read_bytes(), str(path), "exec"), {"__name__": f"{name}.__init__", "__file__": str(path)})


def _collision(name: str, other: Path) -> str | None:
    """Why another package cannot be there together with ours; `None` if it can.

    Args:
        name: of both.
        other: the file that the other one is loaded from.
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
    found = {
        entry.name.partition(".")[0]
        for entry in folder.iterdir()
        if entry.suffix in (".py", ".so", ".pyd") or (entry / "__init__.py").exists()
    }
    return found - {"__init__"}


def _is_our_process() -> bool:
    """Whether nobody else's code runs here: the command line, one of our modules started by itself, a Ray worker."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    started = [name for flag, name in itertools.pairwise(sys.orig_argv) if flag == "-m"]
    return program in ("simeval", "default_worker.py") or any(name.partition(".")[0] == "simeval" for name in started)
