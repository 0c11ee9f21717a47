"""The values of `--policy`: which kind of policy a name means. Imports nothing heavy."""

import os
import re
from typing import Literal

from simeval.policies import bundled

Kind = Literal["scripted", "bundled", "checkpoint", "file", "installed", "server", "object"]
"""How a policy is found and loaded; see `kind_of`."""

SCRIPTED = ("expert", "seeker", "zero", "random")
"""Built-in policies without a network."""

MAX_ACTION_STEPS = 1000
"""Largest `n_action_steps`: every protocol has a shorter step limit."""

MAX_OBS_STEPS = 64
"""Largest `n_obs_steps`. Our choice; lerobot's policies use up to 5."""

ENTRY_POINTS = "simeval.policies"
"""Group of entry points by which installed packages offer policies."""

OBJECT = "object:"
"""Prefix of the name of a policy object that was given to `simeval.evaluate`."""

_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<maker>[^:/]*))?", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)


def kind_of(name: str) -> Kind:
    """The kind of policy that a name means; whether the policy exists is not checked.

    - `scripted`, `bundled`: built in;
    - `server`: an address such as `openpi://HOST:PORT`;
    - `file`: `PATH.py` or `PATH.py:NAME`;
    - `object`: a policy that a Python program made;
    - `checkpoint`: a folder or a hub id;
    - `installed`: any other word, which an installed package may define.
    """
    if name in SCRIPTED:
        return "scripted"
    if name in bundled.POLICIES:
        return "bundled"
    if name.startswith(OBJECT):
        return "object"
    if _URL.fullmatch(name):
        return "server"
    if _FILE.fullmatch(name):
        return "file"
    # Unlike Path.exists, os.path.exists returns false for a name that no file system can hold.
    return "checkpoint" if "/" in name or os.path.exists(name) else "installed"  # noqa: PTH110


def has_checkpoint(name: str) -> bool:
    """Whether the policy is a checkpoint that lerobot loads."""
    return kind_of(name) in ("bundled", "checkpoint")


def split_file(name: str) -> tuple[str, str]:
    """The path and the maker's name of a policy of kind `file`; the maker is `make` by default."""
    match = _FILE.fullmatch(name)
    assert match is not None, name
    return match["path"], match["maker"] or "make"
