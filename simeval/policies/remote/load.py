"""Loads policies behind servers: `openpi://HOST:PORT` and the other schemes. The entry point of this package."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from envs.base import CAMERAS
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.policies.remote.announced import announced, is_simeval
from simeval.policies.remote.channel import Address, Channel, GoneError, Limits, ServerError, parse_address
from simeval.policies.remote.conventions import read_convention
from simeval.policies.remote.greeting import Agreed, nothing_asked, of_openpi, of_vla_eval
from simeval.policies.remote.policy import Conversation, Endpoint, ServerPolicy
from simeval.policies.remote.probe import ProbeReport, gripper_doubts, metadata_digest, probe

_SLOW_S = 5.0
"""Seconds without a word before a line says what is waited for."""

_log = logging.getLogger("simeval")


@dataclass(frozen=True, slots=True)
class Scheme:
    """A protocol that a URL can name.

    Attributes:
        description: one line for people.
        port: port of a URL without one; what the protocol's own server uses.
        convention: name of the card that is used if none is asked for.
        open_channel: connects; pickled by name, so a module's function.
        agree: holds a server's greeting against the convention; see `greeting`.
        has_path: whether its URLs may have a path.
    """

    description: str
    port: int
    convention: str
    open_channel: Callable[[Address, Limits], Channel]
    agree: Callable[..., Agreed] = nothing_asked
    has_path: bool = True


def _openpi(address: Address, limits: Limits) -> Channel:
    from simeval.policies.remote.openpi import OpenpiChannel

    return OpenpiChannel(address, limits, secure=address.scheme == "openpis")


def _act(address: Address, limits: Limits) -> Channel:
    from simeval.policies.remote.act import ActChannel

    return ActChannel(address, limits, secure=address.scheme == "acts")


def _gr00t(address: Address, limits: Limits) -> Channel:
    from simeval.policies.remote.gr00t import Gr00tChannel

    return Gr00tChannel(address, limits)


def _vla_eval(address: Address, limits: Limits) -> Channel:
    from simeval.policies.remote.vla_eval import VlaEvalChannel

    return VlaEvalChannel(address, limits)


SCHEMES: Mapping[str, Scheme] = {
    "openpi": Scheme(
        "WebSocket, openpi's protocol (openpi, vLLM-Omni, simeval serve)", 8000, "openpi_libero", _openpi, of_openpi
    ),
    "openpis": Scheme("openpi's protocol over TLS", 443, "openpi_libero", _openpi, of_openpi),
    "act": Scheme("HTTP POST to /act (OpenVLA-OFT; OpenVLA with its convention)", 8777, "openvla_oft_libero", _act),
    "acts": Scheme("the same over TLS", 443, "openvla_oft_libero", _act),
    "gr00t": Scheme("ZeroMQ (Isaac-GR00T N1.6, N1.7)", 5555, "gr00t_libero", _gr00t, has_path=False),
    "vla-eval": Scheme("WebSocket, vla-eval's model servers", 8000, "vla_eval_libero", _vla_eval, of_vla_eval),
}
"""Protocols by the scheme of their URL."""

_ALIASES = {"ws": "openpi", "wss": "openpis", "http": "act", "https": "acts", "tcp": "gr00t"}
"""Schemes that people write for the transport; the error names ours."""


def check(url: str, *, n_action_steps: int | None = None, convention: str | None = None) -> Address:
    """Check a URL and a convention without any network.

    Raises:
        ConfigError: no such scheme or card, or a malformed URL; one line.
    """
    name = url.partition("://")[0].lower()
    if name not in SCHEMES:
        known = tuple(SCHEMES)
        alias = _ALIASES.get(name)
        hint = f"; did you mean '{alias}://'?" if alias in SCHEMES else nearest(name, known)
        raise ConfigError(f"--policy {shown(url)}: no protocol '{shown(name, 40)}'{hint}")
    address = parse_address(url, SCHEMES[name].port)
    if address.path and not SCHEMES[name].has_path:
        raise ConfigError(f"--policy {shown(url)}: a {name} URL has no path; write {name}://HOST:PORT")
    if n_action_steps is not None and n_action_steps < 1:
        raise ConfigError(f"--n-action-steps: at least 1, not {n_action_steps}")
    if convention is not None:
        read_convention(convention)
    return address


def load(
    url: str,
    *,
    n_action_steps: int | None = None,
    convention: str | None = None,
    limits: Limits | None = None,
    warn: bool = True,
) -> ServerPolicy:
    """Connect to a server, ask it the probe, and make a policy of it; warnings of the probe are logged.

    Args:
        url: `SCHEME://HOST[:PORT][/PATH]`; schemes are in `SCHEMES`.
        n_action_steps: actions executed per chunk; `None` for the convention's or the server's number.
        convention: name of a card or path of a YAML file; `None` for the protocol's default.
        limits: how long the server may take.
        warn: whether to log what the probe found odd.

    Raises:
        ConfigError: the server is not there, is no such server, or its answers cannot be executed; one line.
    """
    address = check(url, n_action_steps=n_action_steps, convention=convention)
    scheme, limits = SCHEMES[address.scheme], limits or Limits()
    card = read_convention(convention or scheme.convention)
    endpoint = Endpoint(address, scheme.open_channel, card, limits)
    try:
        with _said_if_slow(endpoint), contextlib.closing(_first_connection(endpoint)) as conversation:
            if convention is None and is_simeval(conversation.metadata):
                card = read_convention("simeval")
            agreed = scheme.agree(card, conversation.metadata, chosen=convention is not None)
            conversation.endpoint = endpoint = replace(endpoint, convention=agreed.convention)
            return _introduced(endpoint, conversation, agreed.doubts, n_action_steps, warn=warn)
    except ServerError as error:
        raise ConfigError(f"--policy {address}: {error}{_remedy(error)}") from None


@contextlib.contextmanager
def _said_if_slow(endpoint: Endpoint) -> Iterator[None]:
    """Say that a server is waited for, if it takes a while."""
    limits = endpoint.limits
    text = "simeval: waiting for %s; a model that is compiled first may take up to %g s for its first answer"
    timer = threading.Timer(_SLOW_S, _log.warning, (text, endpoint.address, limits.first_answer_s))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _first_connection(endpoint: Endpoint) -> Conversation:
    give_up, pause = time.monotonic() + endpoint.limits.start_s, 0.1
    while True:
        try:
            return Conversation(endpoint)
        except GoneError:
            if time.monotonic() + pause > give_up:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _remedy(error: ServerError) -> str:
    return "; start the server, or correct host and port" if isinstance(error, GoneError) else ""


def _introduced(
    endpoint: Endpoint, conversation: Conversation, doubts: tuple[str, ...], n_action_steps: int | None, *, warn: bool
) -> ServerPolicy:
    """Ask the probe and make the policy; `doubts` are of the greeting."""
    address, card, metadata = endpoint.address, endpoint.convention, conversation.metadata
    declared, cameras = announced(metadata), tuple(camera for camera in CAMERAS if camera in dict(card.images))
    cameras = cameras if declared.cameras is None else declared.cameras
    report = probe(_patient_at_first(conversation, endpoint.limits), cameras, n_obs_steps=declared.n_obs_steps)
    doubts = (*doubts, *gripper_doubts(card, conversation.gripper))
    report = replace(report, warnings=(*doubts, *report.warnings))
    horizon = len(report.answer)
    steps = n_action_steps or card.actions.executed or declared.n_action_steps or horizon
    if horizon < steps:
        source = "--n-action-steps" if n_action_steps else f"convention {card.name}"
        raise ConfigError(f"--policy {address}: its chunks have {horizon} actions, and {source} asks for {steps}")
    for text in report.warnings if warn else ():
        _log.warning("simeval: %s: %s; see --convention", address, text)
    if warn and not report.repeatable:
        _log.warning(
            "simeval: %s: not repeatable, noise floor %.3g: the same request gets other actions, so pairs differ by "
            "more than their condition",
            address,
            report.noise_floor,
        )
    digest = metadata_digest(metadata)
    spec = PolicySpec(
        name=declared.name or str(address),
        n_action_steps=steps,
        cameras=cameras,
        noise_floor=report.noise_floor,
        n_obs_steps=declared.n_obs_steps,
        memory=declared.memory,
        state_std=declared.state_std,
        action_std=declared.action_std,
        state_limits=declared.state_limits,
        action_limits=declared.action_limits,
        fingerprint=_fingerprint(endpoint, report, digest, takes_noise=metadata.get("noise_seed") is True),
    )
    return ServerPolicy(endpoint, spec, report, digest)


def _patient_at_first(conversation: Conversation, limits: Limits) -> Callable[[PolicyInput], ActionChunk]:
    """Asks; the first answer may take longer."""
    seconds = iter((limits.first_answer_s,))
    return lambda given: conversation.ask(given, next(seconds, limits.answer_s))


def _fingerprint(
    endpoint: Endpoint, report: ProbeReport, metadata: str, *, takes_noise: bool
) -> tuple[tuple[str, Any], ...]:
    """What identifies the model. Without repeatability no digest of answers and no noise floor: no two are the same."""
    card = endpoint.convention
    return (
        ("url", str(endpoint.address)),
        ("metadata", metadata),
        *((("probe", report.digest),) if report.repeatable else ()),
        ("repeatable", report.repeatable),
        ("noise", "seeded" if takes_noise else "server"),
        ("convention", card.name),
        ("convention_digest", card.digest),
    )


def described(policy: ServerPolicy) -> tuple[str, ...]:
    """What is known about a loaded policy, one line each, for `simeval doctor`."""
    spec, report = policy.spec, policy.report
    noise = "repeatable" if report.repeatable else f"not repeatable, noise floor {report.noise_floor:.3g}"
    facts = dict(spec.fingerprint)
    return (
        f"{facts['url']} answers: chunks of {len(report.answer)} actions, {report.answer_ms:.0f} ms each",
        f"{noise}; sampling noise is {'seeded by simeval' if facts['noise'] == 'seeded' else 'up to the server'}",
        f"convention {facts['convention']}: cameras {', '.join(spec.cameras) or 'none'}, state {policy.sent_state}, "
        f"{spec.n_action_steps} actions of a chunk are executed",
        *report.warnings,
    )
