"""A policy behind a server: connects at its first request, checks that it is the same server, and asks for chunks.

Non-obvious behaviour:
- A copy in another process opens a connection of its own: an open one is never pickled.
- After every connecting the server's metadata, and its answer to the probe if that is repeatable, must be those of the
  start of the run. The answer may differ by a little, because a GPU computes another batch in another order.
- A connection on which something went wrong is given up, so that no late answer is taken for the next one.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.policies.remote import translate
from simeval.policies.remote.announced import is_simeval
from simeval.policies.remote.channel import Address, Channel, GoneError, Limits, ServerError
from simeval.policies.remote.conventions import Convention
from simeval.policies.remote.probe import ProbeReport, metadata_digest, probe_inputs
from simeval.policies.repeatable import same

_ATTEMPTS = 3
"""Times that a request is sent if the connection breaks. Limited, because the request may be what breaks it."""
_MISSES = 3
"""Requests in a row without a server after which the run stops."""

OpenChannel = Callable[[Address, Limits], Channel]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything that a process needs to ask a server.

    Attributes:
        address: where it is.
        open_channel: connects to it.
        convention: what it wants and answers.
        limits: how long it may take.
    """

    address: Address
    open_channel: OpenChannel
    convention: Convention
    limits: Limits


class Conversation:
    """One open connection, and requests in the convention's form.

    Attributes:
        endpoint: the server; the convention is settled after its greeting.
        metadata, lasting, keeps_state: see `Channel`.
        gripper: lowest and highest gripper command so far, in the server's own numbers.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Connects.

        Raises:
            ServerError: it cannot.
        """
        self.endpoint = endpoint
        self.gripper = (math.inf, -math.inf)
        self._channel = endpoint.open_channel(endpoint.address, endpoint.limits)
        self.metadata, self.lasting = self._channel.metadata, self._channel.lasting
        self.keeps_state = self._channel.keeps_state

    def ask(self, given: PolicyInput, seconds: float) -> ActionChunk:
        """The chunk for an input, `float32[H, 7]`.

        Raises:
            ServerError: there is none.
        """
        if given.chunk_index == 0:
            self._channel.begin_episode(given.instruction, seconds)
        message = translate.request(self.endpoint.convention, given) | self._extras(given)
        answer = self._channel.ask(message, seconds)
        try:
            chunk = translate.answered(self.endpoint.convention, answer)
            low, high = self.gripper
            self.gripper = (min(low, float(chunk[:, -1].min())), max(high, float(chunk[:, -1].max())))
            return translate.executable(self.endpoint.convention, chunk)
        except translate.AnswerError as error:
            raise ServerError(str(error)) from None

    def close(self) -> None:
        """Close at once."""
        self._channel.close()

    def _extras(self, given: PolicyInput) -> dict[str, Any]:
        """Keys that the server's metadata ask for."""
        extras: dict[str, Any] = {}
        if self.metadata.get("noise_seed") is True:
            extras["noise_seed"] = given.noise_seed
        if is_simeval(self.metadata):
            extras |= {
                "pair_id": given.pair_id,
                "chunk_index": given.chunk_index,
                "step": given.observation.step,
                "episode_id": given.episode_id,
                "past": [
                    translate.observed(self.endpoint.convention, observation) | {"step": observation.step}
                    for observation in given.past
                ],
            }
        return extras


class ServerPolicy:
    """A policy behind a server; made by `load`. Cheap to pickle, and opens nothing before its first `act`.

    Attributes:
        spec: see `PolicySpec`; its fingerprint says which server and model it is.
        report: what the probe found.
    """

    def __init__(self, endpoint: Endpoint, spec: PolicySpec, report: ProbeReport, metadata: str) -> None:
        """Stores what `load` found.

        Args:
            endpoint: the server.
            spec: the policy's spec.
            report: what the probe found.
            metadata: digest of the server's metadata.
        """
        self.spec, self.report = spec, report
        self._endpoint, self._metadata = endpoint, metadata
        self._conversation: Conversation | None = None
        self._begun_on: Conversation | None = None
        self._misses = 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_conversation": None, "_begun_on": None, "_misses": 0}

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Ask for one chunk after another.

        Raises:
            EpisodeError: the server failed, or is gone.
            ConfigError: another model answers than at the start, or the server has been gone for a while.
        """
        return [self._chunk(given) for given in inputs]

    @property
    def sent_state(self) -> str:
        """The components of the state that are sent, for people."""
        return ", ".join(part for _, parts in self._endpoint.convention.state for part in parts) or "none"

    def with_spec(self, spec: PolicySpec) -> "ServerPolicy":
        """The same server with another spec: that of the policy object that it serves."""
        return ServerPolicy(self._endpoint, spec, self.report, self._metadata)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()

    def _chunk(self, given: PolicyInput) -> ActionChunk:
        where = str(self._endpoint.address)
        try:
            chunk = self._retried(given)
        except GoneError as error:
            self.close()
            self._misses += 1
            if self._misses < _MISSES:
                raise EpisodeError("policy", f"{where}: {error}") from None
            raise ConfigError(
                f"--policy {where}: {_MISSES} requests in a row found no server ({error}); start it again, then resume"
            ) from None
        except ServerError as error:
            self.close()
            raise EpisodeError("policy", f"{where}: {error}") from None
        except BaseException:
            self.close()  # an episode's time limit may have struck between a request and its answer
            raise
        self._misses = 0
        if len(chunk) < self.spec.n_action_steps:
            raise EpisodeError(
                "policy", f"{where}: its chunk has {len(chunk)} actions, and {self.spec.n_action_steps} are executed"
            )
        return chunk

    def _retried(self, given: PolicyInput) -> ActionChunk:
        """Ask; connect again while there is time, and ask again if the connection broke."""
        limits, asked, pause = self._endpoint.limits, 0, 0.1
        give_up = time.monotonic() + limits.wait_s
        while True:
            try:
                if given.chunk_index == 0 and self._conversation is not None and not self._conversation.lasting:
                    self.close()  # the same model has to answer in every episode
                conversation = self._connected()
                if given.chunk_index == 0:
                    self._begun_on = conversation
                elif conversation.keeps_state and conversation is not self._begun_on:
                    raise ServerError("the connection was lost, and with it what the server knew of this episode")
                asked += 1
                return conversation.ask(given, limits.answer_s)
            except GoneError:
                self.close()
                if asked >= _ATTEMPTS or time.monotonic() + pause > give_up:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _connected(self) -> Conversation:
        """The open connection, or a new one to the same model.

        Raises:
            ServerError: there is none.
            ConfigError: another model answers.
        """
        if self._conversation is None:
            self._conversation = Conversation(self._endpoint)
            self._require_same(self._conversation)
        return self._conversation

    def _require_same(self, conversation: Conversation) -> None:
        changed = None
        if metadata_digest(conversation.metadata) != self._metadata:
            changed = "its metadata are others"
        elif self.report.repeatable:
            # A model that was loaded anew may have to compile first.
            limit = self._endpoint.limits.first_answer_s
            asked = probe_inputs(self.spec.cameras, self.spec.n_obs_steps)[0]
            now, before = conversation.ask(asked, limit), self.report.answer
            if not same(now, before):
                changed = "it answers the probe differently"
        if changed:
            raise ConfigError(
                f"--policy {self._endpoint.address}: another model than at the start of this run ({changed}); "
                "serve the first one again and resume, or start a new run"
            )
