"""Prevents code in a checkpoint or a hub repository from running while lerobot builds a policy.

In several places lerobot tells transformers to trust code beside a tokenizer or a backbone, whatever the caller says.
All such code passes through two functions of transformers, which are blocked here.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.steps import Step

_PACKAGES = ("lerobot.processor.", "lerobot.policies.")
_DOORS = ("get_cached_module_file", "get_class_in_module")
"""They fetch and run a Python file beside a model. Source: transformers 5.5.4, `dynamic_module_utils`."""
_IMPORTERS = ("transformers.dynamic_module_utils", "transformers.generation.utils")
"""Modules that call these two by their bare names."""


class ForeignCodeError(Exception):
    """A model needs code that is not installed; the text is the rest of a sentence."""


@contextlib.contextmanager
def no_foreign_code() -> Iterator[None]:
    """Refuse to fetch or run Python files of a model's repository, without a question on the terminal."""
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
    """Replace both functions, also in modules that were imported in the meantime and hold the blocked version."""
    for module in _IMPORTERS:
        if module in sys.modules:
            for door, function in doors.items():
                setattr(sys.modules[module], door, function)


def check_registered(steps: Sequence[Step], name: str) -> None:
    """Refuse a step whose registered name was taken over by another package; lerobot must be imported.

    Raises:
        ConfigError: its class is not one of lerobot's own processing steps.
    """
    from lerobot.processor import ProcessorStep, ProcessorStepRegistry

    for step in steps:
        if step.name not in ProcessorStepRegistry.list():
            continue  # lerobot reports it
        cls = ProcessorStepRegistry.get(step.name)
        is_lerobots = isinstance(cls, type) and issubclass(cls, ProcessorStep) and cls.__module__.startswith(_PACKAGES)
        if not is_lerobots:
            raise ConfigError(
                f"policy '{name}': the step {step.name} is {cls.__module__}.{cls.__qualname__} here, "
                "not lerobot's own; uninstall the package that replaces it"
            )


def _refuse(*_: object, **__: object) -> NoReturn:
    raise ForeignCodeError(
        "needs Python code from beside a model (trust_remote_code), and simeval runs none; "
        "use a policy whose model transformers itself knows"
    )
