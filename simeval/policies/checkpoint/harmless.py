"""Keep code that a checkpoint or a hub repository carries from being run while lerobot builds a policy.

lerobot asks transformers in several places to trust code beside a tokenizer or a backbone, whatever the caller says.
All such code passes through two functions of transformers, which are closed here.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.steps import Step

_PACKAGES = ("lerobot.processor.", "lerobot.policies.")
_DOORS = ("get_cached_module_file", "get_class_in_module")
"""Fetch a Python file beside a model, and run one. Source: transformers 5.5.4, `dynamic_module_utils`."""
_IMPORTERS = ("transformers.dynamic_module_utils", "transformers.generation.utils")
"""Where these two are called by their bare name."""


class ForeignCodeError(Exception):
    """Somebody asked for code that is not installed; the text is the rest of a sentence."""


@contextlib.contextmanager
def no_foreign_code() -> Iterator[None]:
    """Refuse to fetch or run Python files of a model's repository; nobody is asked on the terminal either."""
    import transformers.dynamic_module_utils as dynamic

    doors, limit = {door: getattr(dynamic, door) for door in _DOORS}, dynamic.TIME_OUT_REMOTE_CODE
    dynamic.TIME_OUT_REMOTE_CODE = 0
    _set(dict.fromkeys(_DOORS, _refuse))
    try:
        yield
    finally:
        dynamic.TIME_OUT_REMOTE_CODE = limit
        _set(doors)


def _set(doors: Mapping[str, Callable[..., Any]]) -> None:
    """Also in modules that were imported meanwhile, and took the closed door along."""
    for module in _IMPORTERS:
        if module in sys.modules:
            for door, function in doors.items():
                setattr(sys.modules[module], door, function)


def check_registered(steps: Sequence[Step], name: str) -> None:
    """Refuse a step whose registered name another package has taken; lerobot must be imported.

    Raises:
        ConfigError: its class is none of lerobot's own processing steps.
    """
    from lerobot.processor import ProcessorStep, ProcessorStepRegistry

    for step in steps:
        if step.name not in ProcessorStepRegistry.list():
            continue  # lerobot says so itself
        found = ProcessorStepRegistry.get(step.name)
        ours = isinstance(found, type) and issubclass(found, ProcessorStep) and found.__module__.startswith(_PACKAGES)
        if not ours:
            raise ConfigError(
                f"policy '{name}': the step {step.name} is {found.__module__}.{found.__qualname__} here, "
                "not lerobot's own; uninstall the package that replaces it"
            )


def _refuse(*_: object, **__: object) -> NoReturn:
    raise ForeignCodeError(
        "needs Python code from beside a model (trust_remote_code), and simeval runs none; "
        "use a policy whose model transformers itself knows"
    )
