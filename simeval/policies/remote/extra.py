"""Imports what the extra `remote` installs: late, and with one line if it is missing."""

import importlib
from typing import Any

from simeval.core.errors import ConfigError


def need(module: str) -> Any:
    """Import a module of the extra `remote`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"policies behind servers need {error.name}, which is not installed: pip install 'simeval[remote]'"
        ) from None
