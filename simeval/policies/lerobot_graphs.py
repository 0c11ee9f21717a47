"""Parts of a flow-matching policy as CUDA graphs: the same kernels, started by one call.

A chunk takes ten thousand small kernels. Started one by one from Python, they take several times longer to start than
to run. See `tests/benchmarks/gpu_graphs.py`.

Non-obvious behaviour:
- Graphs are used only if they change no bit of the chunks; `fitted` compares them.
- Only calls of a recorded shape are replayed, thus whole batches. Others run without a graph.
- Not the whole network is one graph: the embedding of images waits for the GPU in the middle, which no graph can.
- The keys and values of the prefix are the same in all steps of a chunk, so they are copied once per chunk.
- Tensors that a part makes from Python numbers are made before: a copy from pageable memory cannot be captured.
- Hooks on the network do not run in a replay; see `Graphs.bypassed`.
"""

import contextlib
import copy
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import error_line

_log = logging.getLogger("simeval")

Record = Callable[[Callable[[], Any]], tuple[Any, Callable[[], None]]]
"""Records a function of fixed tensors: returns its result, and a function that computes it anew in place."""


class Graphs:
    """The graphs of one network.

    Attributes:
        active: whether recorded calls are replayed; otherwise everything runs as if there were no graphs.
        recording: whether calls of new shapes are recorded.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.active = self.recording = False

    def install(self, owner: Any, name: str) -> None:
        """Replace a method, on this object alone."""
        setattr(owner, name, _Part(self, getattr(owner, name)))

    @contextlib.contextmanager
    def bypassed(self) -> Iterator[None]:
        """Replay nothing inside, so that hooks on the network run."""
        before, self.active = self.active, False
        try:
            yield
        finally:
            self.active = before


def fitted(network: Any, predict: Callable[[int], NDArray[np.float32]], record: Record | None = None) -> Graphs | None:
    """Record the parts of a network and use the recordings if they change no bit; a log line says if they are not used.

    Args:
        network: the network inside a policy; `None` is returned if it has no `denoise_step`.
        predict: predicts a whole batch of chunks with it, for random inputs from a seed.
        record: how to record; `None` for a CUDA graph.
    """
    if not hasattr(network, "denoise_step"):
        return None
    graphs, seeds = Graphs(record or cuda_graph), (0, 1_000)
    own = [predict(seed) for seed in seeds]
    graphs.install(network, "denoise_step")
    if hasattr(network, "vlm_with_expert"):  # SmolVLA
        graphs.install(network.vlm_with_expert, "forward")
        graphs.install(network.vlm_with_expert.get_vlm_model().vision_model.encoder, "forward")
    graphs.active = graphs.recording = True
    # What cannot be captured can raise anything; the network itself remains.
    reason = "they change bits of the chunks"
    try:
        replayed = [predict(seed) for seed in seeds]
    except Exception as error:  # noqa: BLE001
        replayed, reason = [], error_line(error)
    graphs.recording = False
    graphs.active = len(replayed) == len(own) and all(map(np.array_equal, own, replayed))
    if not graphs.active:
        _log.warning("simeval: inference runs without CUDA graphs, which takes longer: %s", reason)
    return graphs


@dataclass(slots=True)
class _Recorded:
    """A recorded call: input buffers per argument, the result in its own buffers, and what computes it anew.

    `prefix` is the cache whose tensors are in the input buffers. It is held, so that no later one has its identity.
    """

    buffers: dict[str, list[Any]]
    result: Any
    replay: Callable[[], None]
    prefix: Any = None


class _Part:
    """A method of the network, with its recordings by the shapes of its arguments."""

    def __init__(self, graphs: Graphs, method: Callable[..., Any]) -> None:
        self.method = method
        self._graphs = graphs
        self._recorded: dict[Any, _Recorded] = {}

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        if args or not self._graphs.active:
            return self.method(*args, **arguments)
        shapes = tuple((name, *_shapes(value)) for name, value in arguments.items())
        if self._graphs.recording and shapes not in self._recorded:
            self._recorded[shapes] = self._record(arguments)
        recorded = self._recorded.get(shapes)
        return self.method(**arguments) if recorded is None else _replay(recorded, arguments)

    def _record(self, arguments: dict[str, Any]) -> _Recorded:
        buffers = {name: [tensor.clone() for tensor in _tensors(value)] for name, value in arguments.items()}

        def run() -> Any:
            values = {name: _rebuilt(value, iter(buffers[name])) for name, value in arguments.items()}
            # Parts inside this one become a part of its graph.
            with self._graphs.bypassed():
                return self.method(**values)

        return _Recorded(buffers, *self._graphs.record(run))


def _replay(recorded: _Recorded, arguments: dict[str, Any]) -> Any:
    for name, value in arguments.items():
        if value is None or value is not recorded.prefix:
            for buffer, tensor in zip(recorded.buffers[name], _tensors(value), strict=True):
                buffer.copy_(tensor)
    recorded.prefix = next((value for value in arguments.values() if _is_cache(value)), None)
    recorded.replay()
    return _rebuilt(recorded.result, (tensor.clone() for tensor in _tensors(recorded.result)))


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
            result = run()
    finally:
        torch.clear_autocast_cache()

    def replay(_read_by_the_graph: _Constants = made) -> None:
        graph.replay()

    return result, replay


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
    """Whether it is transformers' cache of keys and values."""
    return hasattr(value, "layers")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "copy_")


def _parts(value: Any) -> list[Any]:
    """What a container holds; empty for anything else."""
    if _is_cache(value):
        return [tensor for layer in value.layers for tensor in (layer.keys, layer.values)]
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _tensors(value: Any) -> list[Any]:
    """All tensors of an argument or a result, in order."""
    return [value] if _is_tensor(value) else [tensor for part in _parts(value) for tensor in _tensors(part)]


def _shapes(value: Any) -> tuple[Any, ...]:
    """What two calls must share to be the same graph: shapes of tensors, and everything else by value."""
    if _is_tensor(value):
        return (tuple(value.shape), value.dtype, value.device)
    return (type(value), *map(_shapes, _parts(value))) if _parts(value) else (value,)


def _rebuilt(value: Any, tensors: Iterator[Any]) -> Any:
    """The same with other tensors. A step puts other tensors into its cache, so each run gets a new cache."""
    if _is_tensor(value):
        return next(tensors)
    if _is_cache(value):
        cache = copy.copy(value)
        cache.layers = [copy.copy(layer) for layer in value.layers]
        for layer in cache.layers:
            layer.keys, layer.values = next(tensors), next(tensors)
        return cache
    if isinstance(value, dict):
        return type(value)(**{name: _rebuilt(part, tensors) for name, part in value.items()})
    return type(value)(_rebuilt(part, tensors) for part in value) if _parts(value) else value
