"""The denoising step of a flow-matching policy as a CUDA graph: the same kernels, started by one call.

A chunk takes about ten denoising steps of about a thousand small kernels each. Started one by one from Python, they
take several times longer to start than to run. See `tests/benchmarks/denoising_graph.py`.

Non-obvious behaviour:
- A graph is used only if it gives the same bits as the step itself; `fitted` compares them.
- Only calls of the recorded shape are replayed, thus whole batches. Others run without the graph.
- The keys and values of the prefix are the same in all steps of a chunk, so they are copied once per chunk.
- Tensors that the step makes from Python numbers are made before: a copy from pageable memory cannot be captured.
- Hooks on the network do not run in a replay; see `StepGraph.bypassed`.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Record = Callable[[Callable[[], Any]], tuple[Any, Callable[[], None]]]
"""Records a function of fixed tensors: returns its output tensor, and a function that computes it anew in place."""


@dataclass(slots=True)
class _Recorded:
    """A recorded step: its input buffers, its output buffer, what fills the latter, and whose prefix is in the former.

    The cache of the prefix is held, so that no later one can have its identity.
    """

    buffers: Mapping[str, list[Any]]
    output: Any
    replay: Callable[[], None]
    prefix: Any = None


class StepGraph:
    """Stands in for a network's `denoise_step`, and replays a recording of it for calls of a recorded shape.

    Attributes:
        active: whether it replays; otherwise every call runs the step itself.
    """

    def __init__(self, network: Any, record: Record) -> None:
        self._step = network.denoise_step
        self._record = record
        self._recorded: dict[tuple[Any, ...], _Recorded] = {}
        self._recording = False
        self.active = False
        network.denoise_step = self

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record the shapes of all calls inside, and replay them."""
        self._recording = self.active = True
        try:
            yield
        finally:
            self._recording = self.active = False

    @contextlib.contextmanager
    def bypassed(self) -> Iterator[None]:
        """Run the step itself inside, so that hooks on the network see it."""
        before, self.active = self.active, False
        try:
            yield
        finally:
            self.active = before

    def __call__(self, **arguments: Any) -> Any:
        """The velocity of the step; arguments as lerobot passes them: tensors, and a cache of keys and values."""
        if not self.active or not all(map(_holds_tensors, arguments.values())):
            return self._step(**arguments)
        tensors = {name: _tensors(value) for name, value in arguments.items()}
        shape = tuple((name, *map(_shape, each)) for name, each in tensors.items())
        if self._recording and shape not in self._recorded:
            self._recorded[shape] = self._record_step(arguments, tensors)
        recorded = self._recorded.get(shape)
        return self._step(**arguments) if recorded is None else self._replay(recorded, arguments, tensors)

    def _record_step(self, arguments: dict[str, Any], tensors: dict[str, Any]) -> _Recorded:
        buffers = {name: [tensor.clone() for tensor in each] for name, each in tensors.items()}

        def run() -> Any:
            return self._step(**{name: _with_tensors(value, buffers[name]) for name, value in arguments.items()})

        return _Recorded(buffers, *self._record(run))

    def _replay(self, recorded: _Recorded, arguments: dict[str, Any], tensors: dict[str, Any]) -> Any:
        prefix = next((value for value in arguments.values() if _is_cache(value)), None)
        for name, value in arguments.items():
            if value is not recorded.prefix:
                for buffer, tensor in zip(recorded.buffers[name], tensors[name], strict=True):
                    buffer.copy_(tensor)
        recorded.prefix = prefix
        recorded.replay()
        return recorded.output.clone()


def fitted(
    network: Any, predict: Callable[[int], NDArray[np.float32]], record: Record | None = None
) -> StepGraph | None:
    """Record a network's denoising step and use the recording if it changes no bit.

    Args:
        network: the network inside a policy; `None` is returned if it has no `denoise_step`.
        predict: predicts a whole batch of chunks with it, for random inputs from a seed.
        record: how to record; `None` for a CUDA graph.
    """
    if not hasattr(network, "denoise_step"):
        return None
    graph, seeds = StepGraph(network, record or cuda_graph), (0, 1_000)
    own = [predict(seed) for seed in seeds]
    # What cannot be captured can raise anything; the step itself remains.
    with contextlib.suppress(Exception):
        with graph.recording():
            replayed = [predict(seed) for seed in seeds]
        graph.active = all(map(np.array_equal, own, replayed))
    return graph


def cuda_graph(run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """Capture a function's kernels on the current GPU; see `Record`."""
    import torch

    aside, made = torch.cuda.Stream(), _Constants()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside), made.recorded():
        run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Autocast keeps converted weights until its context ends. The graph must own those that it reads.
    torch.clear_autocast_cache()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"), made.replayed():
            output = run()
    finally:
        torch.clear_autocast_cache()

    def replay(_read_by_the_graph: _Constants = made) -> None:
        graph.replay()

    return output, replay


class _Constants:
    """Tensors that a function makes from Python numbers: kept in one run of it, handed out in the next."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def recorded(self) -> Any:
        def make(*args: Any, **kwargs: Any) -> Any:
            import torch

            self._made.append(torch.tensor(*args, **kwargs))
            return self._made[-1]

        return _instead_of_tensor(make)

    def replayed(self) -> Any:
        made = iter(self._made)
        return _instead_of_tensor(lambda *_, **__: next(made))


def _instead_of_tensor(make: Callable[..., Any]) -> Any:
    """A context in which `make` answers calls of `torch.tensor`."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):  # type: ignore[misc]  # torch has no types here
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return (make if func is torch.tensor else func)(*args, **(kwargs or {}))

    return Mode()


def _is_cache(value: Any) -> bool:
    return hasattr(value, "layers")


def _holds_tensors(value: Any) -> bool:
    return _is_cache(value) or hasattr(value, "copy_")


def _tensors(value: Any) -> list[Any]:
    """The tensors of an argument: itself, or the keys and values of a cache."""
    if _is_cache(value):
        return [tensor for layer in value.layers for tensor in (layer.keys, layer.values)]
    return [value]


def _with_tensors(value: Any, tensors: list[Any]) -> Any:
    """The argument with other tensors. A step puts other tensors into its cache, so each run gets a new cache."""
    if not _is_cache(value):
        return tensors[0]
    cache, rest = copy.copy(value), iter(tensors)
    cache.layers = [copy.copy(layer) for layer in value.layers]
    for layer in cache.layers:
        layer.keys, layer.values = next(rest), next(rest)
    return cache


def _shape(tensor: Any) -> tuple[Any, ...]:
    return (tuple(tensor.shape), tensor.dtype, tensor.device)
