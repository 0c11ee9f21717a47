"""Policies of the user: an object, a function in a Python file, or one that an installed package offers.

A maker is a function that returns a policy. Of the options `device`, `n_action_steps`, `batch_size` and `dtype` it gets
those that it has as parameters.

Non-obvious behaviour:
- A file is executed as a text, in every worker. Modules beside it are found only if they are installed, or if their
  folder is on PYTHONPATH.
- The fingerprint of a policy from a file includes the file's digest; what else its output depends on, weights above
  all, must be in `PolicySpec.fingerprint`.
"""

import ast
import importlib.metadata
import inspect
import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from envs.base import Observation
from simeval.core.errors import ConfigError, EpisodeError, nearest
from simeval.core.source_file import SourceFile, as_config_error, execute
from simeval.core.texts import shown
from simeval.core.time_limit import time_limit
from simeval.policies.base import ActionChunk, Policy, PolicyInput, PolicySpec
from simeval.policies.names import ENTRY_POINTS
from simeval.policies.spec_check import plain, spec_fault

LOAD_SECONDS = 1800.0
"""Time limit of a file and its maker, which may load large weights from a slow disk. Our choice."""
_OPTIONS = ("device", "n_action_steps", "batch_size", "dtype")


class UserPolicy:
    """A policy of the user with a checked spec."""

    def __init__(self, policy: Policy, spec: PolicySpec) -> None:
        self.spec = spec
        self._policy = policy

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """See `Policy`. It gets copies: what it writes into them must not reach the next request of the episode."""
        return _one_each(self._policy.act([_copied(given) for given in inputs]), len(inputs))


def _one_each(answer: Any, count: int) -> list[ActionChunk]:
    """The chunks in an answer: a list of them, or one array or tensor of the whole batch.

    Raises:
        EpisodeError: it is not one chunk for each of `count` inputs.
    """
    try:
        chunks = None if isinstance(answer, Mapping | Set | str | bytes) else list(answer)
    except TypeError:  # nothing that can be iterated, or a tensor of one number
        chunks = None
    if chunks is None or len(chunks) != count:
        what = f"a {type(answer).__name__}" if chunks is None else str(len(chunks))
        inputs, wanted = ("input", "chunk") if count == 1 else ("inputs", "chunks")
        raise EpisodeError("policy", f"it returned {what} for {count} {inputs}, not a list of {count} action {wanted}")
    return chunks


def _copied(given: PolicyInput) -> PolicyInput:
    """An input with arrays of its own; ground truth is shared."""
    copies = {id(one): _copied_observation(one) for one in (given.observation, *given.past)}
    return replace(given, observation=copies[id(given.observation)], past=tuple(copies[id(one)] for one in given.past))


def _copied_observation(observation: Observation) -> Observation:
    images = {camera: image.copy() for camera, image in observation.images.items()}
    return replace(observation, images=images, state=observation.state.copy())


def require_maker(file: SourceFile, maker: str) -> None:
    """Check a policy's file without executing it: its syntax, and that it defines the maker.

    Raises:
        ConfigError: it cannot be compiled, or does not define the name.
    """
    try:
        tree = ast.parse(file.source, file.path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise as_config_error(error, file, "--policy") from None
    names = list(_defined(tree.body))
    if maker not in names and "*" not in names:
        raise ConfigError(f"--policy {file.path}:{shown(maker)}: the file defines no '{shown(maker)}'{_instead(names)}")


def _instead(names: Sequence[str]) -> str:
    public = [name for name in names if not name.startswith("_")]
    return nearest("make", public) + " (write PATH.py:NAME)" if public else ""


def _defined(body: Sequence[ast.stmt]) -> list[str]:
    """The names that statements define, those inside `if` and `try` included; `*` for a star import."""
    names: list[str] = []
    for node in body:
        match node:
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                names.append(node.name)
            case ast.Import() | ast.ImportFrom():
                names += [alias.asname or alias.name.partition(".")[0] for alias in node.names]
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names += [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            case ast.If() | ast.Try() | ast.With():
                blocks = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
                blocks += [handler.body for handler in getattr(node, "handlers", [])]
                names += [name for block in blocks for name in _defined(block)]
    return names


def from_file(file: SourceFile, maker: str, options: Mapping[str, Any]) -> Policy:
    """Execute a policy's file and call its maker.

    Args:
        file: the file.
        maker: name of a function or class that returns a policy, or of a policy object.
        options: values of `device`, `n_action_steps`, `batch_size` and `dtype`; `None` if not requested.

    Raises:
        ConfigError: the file or the maker raises, or what it returns is no policy.
    """
    what = f"--policy {file.path}:{maker}"
    try:
        module = execute(file, "policy", seconds=LOAD_SECONDS, limit="it loads")
        with time_limit(LOAD_SECONDS, "it loads"):
            policy = _made(getattr(module, maker, None), options, what)
    except ModuleNotFoundError as error:
        remedy = "install it, or put its folder on PYTHONPATH"
        raise ConfigError(f"--policy {file.path}: no module named '{error.name}'; {remedy}") from None
    except BaseException as error:  # noqa: BLE001  becomes one line, or is raised again
        raise as_config_error(error, file, "--policy") from None
    return checked(policy, what, {"file": f"{file.path.rpartition('/')[2]}:{maker}", "file_sha256": file.sha256})


def installed() -> dict[str, importlib.metadata.EntryPoint]:
    """The policies that installed packages offer, by name."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def from_entry_point(name: str, options: Mapping[str, Any]) -> Policy:
    """Call the maker that an installed package offers.

    Raises:
        ConfigError: there is none, it raises, or what it returns is no policy.
    """
    offered = installed()
    if name not in offered:
        raise ConfigError(f"--policy: no policy or folder '{shown(name)}'{nearest(name, list(offered))}")
    entry, what = offered[name], f"--policy {name}"
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    with time_limit(LOAD_SECONDS, "it loads"):
        policy = _made(entry.load(), options, what)
    return checked(policy, what, {"entry_point": entry.value, "package": package})


def _made(maker: Any, options: Mapping[str, Any], what: str) -> Any:
    if hasattr(maker, "act") and not isinstance(maker, type):
        takes: frozenset[str] = frozenset()
    elif callable(maker):
        takes = _parameters(maker)
    else:
        raise ConfigError(f"{what}: is of type {type(maker).__name__}, not a function, a class or a policy")
    for option in ("n_action_steps", "dtype"):
        if options.get(option) is not None and option not in takes:
            flag = "--" + option.replace("_", "-")
            raise ConfigError(f"{flag}: {what.removeprefix('--policy ')} takes no {option}")
    return maker(**{name: options[name] for name in _OPTIONS if name in takes}) if callable(maker) else maker


def _parameters(maker: Callable[..., Any]) -> frozenset[str]:
    """Those of the options that a maker has as parameters."""
    try:
        parameters = inspect.signature(maker).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return frozenset()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(_OPTIONS)
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return frozenset(named & set(_OPTIONS))


def checked(policy: Any, what: str, origin: Mapping[str, str]) -> UserPolicy:
    """A user's policy, once its form is right; its answers are checked as it gives them.

    Args:
        policy: what should be a policy.
        what: its name, for messages.
        origin: added to its fingerprint.

    Raises:
        ConfigError: it has no `act`, or its spec is not valid.
    """
    if not callable(getattr(policy, "act", None)):
        raise ConfigError(f"{what}: type {type(policy).__name__} is no policy: it has no method act")
    spec = getattr(policy, "spec", None)
    if not isinstance(spec, PolicySpec):
        raise ConfigError(f"{what}: its spec is a {type(spec).__name__}, not a simeval.policies.base.PolicySpec")
    if fault := spec_fault(spec):
        raise ConfigError(f"{what}: spec.{fault}")
    spec = plain(spec)
    # As a manifest gives it back: JSON has no tuples.
    fingerprint = tuple((key, json.loads(json.dumps(value))) for key, value in (*spec.fingerprint, *origin.items()))
    return UserPolicy(policy, replace(spec, fingerprint=fingerprint))
