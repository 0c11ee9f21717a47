"""When a policy is asked and which action each control step executes, while its answers take time.

    ask -> wait for the answer: hold, or execute what is left of the last chunk -> the answer takes over -> ask ...

Pure bookkeeping in control steps: no clock, no simulator, no policy. The loop asks whenever `due`, hands over the
answer at once with the number of control steps it takes to arrive, and executes `upcoming` parts until the next event.

Non-obvious behaviour:
- A chunk's first action belongs to the moment of its observation. An answer takes over at the action whose turn it is:
  as many actions are skipped as were executed since the question. Holds do not count, because the arm stood still.
  lerobot's asynchronous client counts in the same way.
- In mode `block` the arm always holds, so the first action of a chunk is never skipped.
- With latency 0, no threshold and the merge `latest`, every mode executes the first `n_action_steps` actions of each
  chunk.
- An answer that is shorter than the chunk before it may be used up when it arrives. The next question follows at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Actions = NDArray[np.float32]
"""`float32[T, action_size]`."""

MERGES: Mapping[str, Callable[[Actions, Actions], Actions]] = {
    "latest": lambda old, new: new,
    "average": lambda old, new: np.float32(0.5) * old + np.float32(0.5) * new,
    "weighted_average": lambda old, new: np.float32(0.3) * old + np.float32(0.7) * new,
    "conservative": lambda old, new: np.float32(0.7) * old + np.float32(0.3) * new,
}
"""Actions for the control steps that the last chunk and the answer both cover. Source: `AGGREGATE_FUNCTIONS` of
lerobot's `async_inference/configs.py`, where `latest` is called `latest_only`; tested."""

_OPEN = -1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How a policy is executed.

    Attributes:
        n_action_steps: actions of a chunk that are executed before the next question.
        overlapping: whether the rest of the last chunk is executed while the answer is awaited; else the arm holds.
        threshold: ask as soon as no more than this share of the chunk is left, instead of after `n_action_steps`.
        merge: an entry of `MERGES`.
    """

    n_action_steps: int
    overlapping: bool = False
    threshold: float | None = None
    merge: str = "latest"

    def asked_at(self, length: int) -> int:
        """Position in a chunk of `length` actions from which on the next question is due; at least 1."""
        if self.threshold is None:
            return min(length, self.n_action_steps)
        return max(1, next(done for done in range(length + 1) if (length - done) / length <= self.threshold))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Control steps until the next event.

    Attributes:
        actions: what they execute, at least one.
        held: whether the arm holds, so that they are no actions of the policy.
    """

    actions: Actions
    held: bool


@dataclass
class Schedule:
    """The queue of actions of one episode; see the module's docstring.

    Attributes:
        pace: how the policy is executed.
        action_size: numbers of an action.
        latencies: control steps from each question to its answer.
        replans: answers that took over while the last chunk had actions left.
        stale_steps: control steps that executed the last chunk while an answer was awaited.
        idle_steps: control steps without an action of the policy.
    """

    pace: Pace
    action_size: int
    latencies: list[int] = field(default_factory=list)
    replans: int = 0
    stale_steps: int = 0
    idle_steps: int = 0
    _chunk: Actions | None = None
    _done: int = 0
    _answer: Actions | None = None
    _arrival: int = 0
    _skipped: int = 0
    _last: Actions | None = None

    @property
    def due(self) -> bool:
        """Whether the policy has to be asked now."""
        if self._answer is not None:
            return False
        return self._chunk is None or self._done >= self.pace.asked_at(len(self._chunk))

    @property
    def last_latency(self) -> int:
        """The latency of the last answer, which is what a policy can expect of the next; 0 before the first."""
        return self.latencies[-1] if self.latencies else 0

    @property
    def left(self) -> Actions | None:
        """What is left of the last chunk and would be executed while an answer is awaited; `None` if nothing is."""
        if self._chunk is None or not self.pace.overlapping or self._done >= len(self._chunk):
            return None
        return self._chunk[self._done :]

    def ask(self, step: int, answer: Actions, latency: int) -> None:
        """Ask after `step` control steps, when `due`.

        Args:
            step: control steps executed so far.
            answer: the chunk that the policy predicts from the observation of this moment.
            latency: control steps until it is there.

        Raises:
            ValueError: the latency is negative.
        """
        if latency < 0:
            raise ValueError(f"a latency of {latency} control steps is negative")
        self.latencies.append(latency)
        if not self.pace.overlapping:
            self._chunk = None
        self._answer, self._arrival, self._skipped = answer, step + latency, 0
        self._arrive(step)

    def upcoming(self, step: int, max_steps: int) -> Part:
        """What the control steps after `step` execute, until the next event or until `max_steps`; not when `due`."""
        waiting = self._answer is not None
        left = self.left if waiting else self._until_due()
        end = min(max_steps, self._arrival) if waiting else max_steps
        if left is None:
            return Part(np.tile(self.hold(), (end - step, 1)), held=True)
        return Part(left[: end - step], held=False)

    def executed(self, step: int, part: Part, count: int) -> None:
        """Record that the first `count` actions of a part were executed, from `step` on."""
        self._last = part.actions[count - 1]
        if part.held:
            self.idle_steps += count
        else:
            self._done += count
        if self._answer is not None and not part.held:
            self._skipped += count
            self.stale_steps += count
        self._arrive(step + count)

    def hold(self) -> Actions:
        """The action that holds the arm, `float32[action_size]`: no motion, and the last command of the gripper.

        Before the first command the gripper is open, as while the scene settles.
        """
        action = np.zeros(self.action_size, np.float32)
        action[-1] = _OPEN if self._last is None else self._last[-1]
        return action

    def _until_due(self) -> Actions | None:
        return None if self._chunk is None else self._chunk[self._done : self.pace.asked_at(len(self._chunk))]

    def _arrive(self, step: int) -> None:
        """Let the answer take over if it is there after `step` control steps."""
        if self._answer is None or step < self._arrival:
            return
        answer, old = self._answer[self._skipped :], self.left
        self.replans += old is not None
        if old is not None and len(answer):
            both = min(len(old), len(answer))
            answer = np.concatenate([MERGES[self.pace.merge](old[:both], answer[:both]), answer[both:]])
        self._chunk = np.concatenate([self._answer[: self._skipped], answer])
        self._done, self._answer = self._skipped, None
