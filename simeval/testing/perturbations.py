"""The laws that every perturbation axis must keep; our own tests use them, too."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS, Env, ResetOptions
from perturbations.base import (
    AxisInfo,
    Infeasible,
    Instruction,
    InstructionContext,
    Masks,
    Physics,
    RngFactory,
    find_axis,
)
from perturbations.condition import Condition, number_text
from perturbations.spec import parse
from simeval.core.seeding import PairStreams

STEPS = 40
"""Control steps in which an axis must show an effect: enough for the rarest preset frame drops."""

SIZE = (48, 64)
"""Height and width of the test image (px); not square, so that swapping the two is noticed."""

CONTEXT = InstructionContext(
    "put the bowl on the plate",
    (("on", "bowl_1", "plate_1"),),
    tuple(Instruction(f"open drawer {i}", (("open", f"drawer_{i}"),), f"suite/{i}") for i in range(5)),
    tuple(f"feed the cat number {i}" for i in range(5)),
)


@dataclass
class _Spy:
    """Random streams of one pair; records the requested ones."""

    seed: int = 0
    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, name: str, camera: str, step: int) -> np.random.Generator:
        self.requests.append((name, camera, step))
        return PairStreams(self.seed, (1, 2, 3, 4)).generator(name, camera, step)


def check_perturbation(name: str, env: Env | None = None, *, context: InstructionContext | None = None) -> None:
    """Check an axis against the laws of perturbations, at its identity, its presets and the ends of its range.

    Args:
        name: name of a registered axis.
        env: scene for scene and physics axes; by default the bundled scene of libero_spatial's first task, which is
            built and closed by the check (a second).
        context: task for language axes.

    Raises:
        SpecError: there is no such axis.
        AssertionError: the axis breaks a law; says which and how.
    """
    info = find_axis(name)
    default = _bundled_scene() if env is None and info.channel in ("scene", "physics") else None
    try:
        for law in _laws(info, env or default, context or CONTEXT):
            law()
    finally:
        if default is not None:
            default.close()


def _bundled_scene() -> Env:
    from envs.build import make_env
    from envs.libero.files import resolve_assets

    return make_env("libero_spatial", 0, 64, resolve_assets("bundled"))


def _laws(info: AxisInfo, env: Env | None, context: InstructionContext) -> Iterator[Callable[[], None]]:
    yield lambda: _declaration(info)
    yield lambda: _round_trip(info)
    run: Callable[[Condition, RngFactory], Any]
    match info.channel:
        case "image":
            yield lambda: _range(info)
            yield lambda: _cameras(info)
            run = _images
        case "language":
            run = lambda condition, rng: _instruction(condition, rng, context)  # noqa: E731
        case "scene" | "physics":
            assert env is not None
            yield lambda: _fields(info, env)
            run = lambda condition, rng: _simulated(condition, rng, env)  # noqa: E731
        case "timing":
            run = _sources
        case "state":
            run = _states
        case "latency":
            run = _latencies
        case _:
            run = _actions
    yield lambda: _identity(info, run)
    yield lambda: _repeatable(info, run)
    yield lambda: _effect(info, run)


def values(info: AxisInfo) -> tuple[str, ...]:
    """Texts of the checked values: presets and both ends, or every word."""
    if info.words:
        return tuple(_with_argument(info, word) for word in info.words)
    numbers = (*info.presets, *(bound for bound in info.bounds if np.isfinite(bound)))
    return tuple(dict.fromkeys(number_text(n) for n in numbers))


def _with_argument(info: AxisInfo, word: str) -> str:
    argument = info.arguments.get(word)
    if argument is None or argument.default is not None:
        return word
    return f"{word}:{argument.words[0] if argument.words else number_text(argument.bounds[1])}"


def _conditions(info: AxisInfo) -> Iterator[Condition]:
    checked = values(info)
    if info.channel in ("scene", "physics") and not info.words:
        checked = tuple(dict.fromkeys((checked[0], *checked[4:])))  # each takes resets: only the ends
    for value in checked:
        condition = parse(f"{info.name}:{value}")
        if not condition.terms[0].is_identity:
            yield condition


def _law(holds: object, info: AxisInfo, text: str) -> None:
    if not holds:
        raise AssertionError(f"{info.name}: {text}")


def _declaration(info: AxisInfo) -> None:
    _law(info.value_means and info.source, info, "value_means and source must say something")
    _law(info.words or len(info.presets) == 5, info, f"severities are five presets, not {len(info.presets)}")
    _law(info.channel != "image" or info.cameras, info, "an image axis must name the cameras it can be aimed at")
    _law(info.channel != "scene" or info.writes, info, "a scene axis must declare the fields that it writes")
    _law(not parse(info.example).terms[0].is_identity, info, f"its example {info.example} changes nothing")


def _round_trip(info: AxisInfo) -> None:
    for value in (_shown(info.identity), *values(info)):
        condition = parse(f"{info.name}:{value}")
        again = parse(str(condition))
        _law(again == condition, info, f"{condition} reads back as {again}")


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else number_text(value)


def _identity(info: AxisInfo, run: Callable[[Condition, RngFactory], Any]) -> None:
    nothing, identity = Condition(), parse(f"{info.name}:{_shown(info.identity)}")
    same = _digest(run(identity, _Spy())) == _digest(run(nothing, _Spy()))
    _law(same, info, f"its identity value {info.identity} is not byte-identical to none")


def _repeatable(info: AxisInfo, run: Callable[[Condition, RngFactory], Any]) -> None:
    requests: dict[str, list[tuple[str, str, int]]] = {}
    for condition in _conditions(info):
        spies, results = (_Spy(), _Spy()), []
        for spy in spies:
            before = np.random.get_state()  # noqa: NPY002  it must not be touched
            try:
                results.append(_digest(run(condition, spy)))
            except Infeasible:
                results.append("infeasible")
            _law(str(np.random.get_state()) == str(before), info, "it touches numpy's global generator")  # noqa: NPY002
            np.random.random()  # noqa: NPY002  code that reads it gets another number next time
        _law(results[0] == results[1], info, f"{condition} gives two results for the same draws")
        _law(spies[0].requests == spies[1].requests, info, f"{condition} asks for other streams the second time")
        if not info.words and results[0] != "infeasible":
            requests[str(condition)] = spies[0].requests
    different = [text for text, streams in requests.items() if streams != next(iter(requests.values()))]
    # The age of a repeated frame depends on how many frames are lost; each step's sample is still the same.
    if info.channel != "timing":
        _law(not different, info, f"its strengths do not share their draws: {', '.join(different[:1])} differs")


def _effect(info: AxisInfo, run: Callable[[Condition, RngFactory], Any]) -> None:
    strongest = parse(f"{info.name}:{_shown(info.presets[-1])}") if info.presets else parse(info.example)
    try:
        changed = _digest(run(strongest, _Spy())) != _digest(run(Condition(), _Spy()))
    except Infeasible as reason:
        raise AssertionError(f"{info.name}: {strongest} is infeasible here: {reason}") from None
    _law(changed, info, f"{strongest} changes nothing")


def example_image() -> NDArray[np.uint8]:
    """An image with edges, gradients, black and white, `uint8[48, 64, 3]`, made without random numbers."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    channels = [(4 * x + 2 * y) % 256, np.where((x // 8 + y // 8) % 2, 230, 25), (x * y) // 12]
    image = np.stack(channels, axis=-1).astype(np.uint8)
    image.setflags(write=False)
    return image


def _started(condition: Condition, rng: RngFactory) -> Any:
    applied = condition.start(rng)
    target = np.zeros(SIZE, bool)
    target[20:30, 30:44] = True
    applied.masks = dict.fromkeys(CAMERAS, Masks(target, {}))
    return applied


def _images(condition: Condition, rng: RngFactory) -> list[NDArray[np.uint8]]:
    applied, clean = _started(condition, rng), example_image()
    seen = []
    for step in range(0, STEPS, 4):
        moved = np.roll(clean, step, axis=1)
        moved.setflags(write=False)
        images = applied.images(dict.fromkeys(CAMERAS, moved), step)
        seen += [images[camera].copy() for camera in CAMERAS]
    return seen


def _range(info: AxisInfo) -> None:
    """A preset that darkens is never as dark as an image whose white is 1."""
    for value in (info.words and values(info)) or map(_shown, info.presets):
        brightest = max(int(image.max()) for image in _images(parse(f"{info.name}:{value}"), _Spy()))
        _law(brightest != 1, info, f"{value} gives images from 0 to 1; pixels are from 0 to 255")


def _cameras(info: AxisInfo) -> None:
    for value in values(info):
        both = _images(parse(f"{info.name}:{value}"), _Spy())
        clean = _images(Condition(), _Spy())
        for index, camera in enumerate(CAMERAS):
            if camera not in info.cameras:
                continue
            alone = _images(parse(f"{info.name}:{value}@{camera}"), _Spy())
            same = _digest(alone[index::2]) == _digest(both[index::2])
            _law(same, info, f"{value}@{camera} differs from what {value} does to that camera")
            kept = _digest(alone[1 - index :: 2]) == _digest(clean[1 - index :: 2])
            _law(kept, info, f"{value}@{camera} changes the other camera")
    spy = _Spy()
    _images(parse(info.example), spy)
    streams = {camera for _, camera, _ in spy.requests}
    _law(not info.draws or len(streams) == len(info.cameras), info, "each camera must have a random stream of its own")


def _instruction(condition: Condition, rng: RngFactory, context: InstructionContext) -> Instruction:
    instruction = condition.instruction(context, rng)
    valid = isinstance(instruction, Instruction) and isinstance(instruction.text, str)
    _law(valid, _info(condition), f"it gave the instruction {instruction!r}")
    return instruction


def _sources(condition: Condition, rng: RngFactory) -> list[int]:
    applied = condition.start(rng)
    sources = [applied.source(step) for step in range(STEPS)]
    possible = all(0 <= source <= step for step, source in enumerate(sources))
    _law(possible, _info(condition), f"it shows what has not happened yet: {sources}")
    return sources


def _latencies(condition: Condition, rng: RngFactory) -> list[int]:
    applied = condition.start(rng)
    latencies = [applied.latency(call) for call in range(STEPS)]
    _law(min(latencies) >= 0, _info(condition), f"it answers before it is asked: {latencies}")
    return latencies


def _states(condition: Condition, rng: RngFactory) -> list[NDArray[np.float32]]:
    applied, states = condition.start(rng), []
    for step in range(STEPS):
        state = np.linspace(-1, 1, 8, dtype=np.float32) + np.float32(0.01 * step)
        state.setflags(write=False)
        states.append(applied.state(state, step).copy())
    return states


def _actions(condition: Condition, rng: RngFactory) -> list[NDArray[np.float32]]:
    chosen = np.sin(np.arange(STEPS)[:, None] * 0.3 + np.arange(7)).astype(np.float32)
    chosen[:, 6] = np.sign(chosen[:, 6])
    chosen.setflags(write=False)
    executed = {}
    for size in (5, 8):
        applied = condition.start(_Spy(0) if size == 5 else rng)
        executed[size] = np.concatenate([applied.actions(chosen[i : i + size], i) for i in range(0, STEPS, size)])
    info, actions = _info(condition), executed[8]
    _law(np.array_equal(executed[5], actions), info, f"{condition} depends on how long the chunks are")
    _law((np.sign(actions[:, 6]) == chosen[:, 6]).all(), info, f"{condition} changes the gripper unasked")
    return [actions]


def _simulated(condition: Condition, rng: RngFactory, env: Env) -> list[Any]:
    env.reset(ResetOptions(settle_steps=2), lambda physics: condition.apply_physics(physics, rng))
    for step in condition.steps:
        env.intervene(lambda physics, s=step: condition.apply_step(physics, s, rng))  # type: ignore[misc]
    condition.apply_scene(env.scene(), rng)
    images = env.observe().images
    env.step(np.zeros((2, 7), np.float32))
    return [env.state(), *(images[camera] for camera in CAMERAS), *model_fields(env.scene().model).values()]


def _fields(info: AxisInfo, env: Env) -> None:
    env.reset(ResetOptions())
    pristine = model_fields(env.scene().model)
    for condition in _conditions(info):
        try:
            before, after = _around(condition, env)
            again, _ = _around(condition, env)
        except Infeasible:
            continue
        written = {name for name in before if before[name] != after[name]}
        undeclared = sorted(written - set(info.writes))
        _law(not undeclared, info, f"{condition} writes undeclared fields: {', '.join(undeclared)}")
        env.reset(ResetOptions())
        clean = model_fields(env.scene().model)
        left = {name for one, other in ((before, again), (pristine, clean)) for name in one if one[name] != other[name]}
        _law(not left, info, f"{condition} is not undone by the next reset: {', '.join(sorted(left))}")


def _around(condition: Condition, env: Env) -> tuple[dict[str, str], dict[str, str]]:
    """The model's fields before and after a condition, which may need another model than the clean episode's."""
    before: dict[str, str] = {}

    def change(physics: Physics) -> None:
        before.update(model_fields(physics.model))
        condition.apply_physics(physics, _Spy())

    env.reset(ResetOptions(), change)
    for step in condition.steps:
        env.intervene(lambda physics, s=step: condition.apply_step(physics, s, _Spy()))  # type: ignore[misc]
    condition.apply_scene(env.scene(), _Spy())
    return before, model_fields(env.scene().model)


def _info(condition: Condition) -> AxisInfo:
    return condition.terms[0].info if condition.terms else find_axis("noise")


def model_fields(model: Any) -> dict[str, str]:
    """A digest of every array and number of a `mujoco.MjModel`, by dotted name."""
    digests: dict[str, str] = {}

    def visit(struct: Any, prefix: str) -> None:
        for name in dir(struct):
            if name.startswith("_") or callable(value := getattr(struct, name)):
                continue
            if isinstance(value, np.ndarray):
                digests[prefix + name] = hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
            elif isinstance(value, int | float):
                digests[prefix + name] = repr(value)
            elif prefix + name in ("vis", "opt", "stat") or prefix == "vis.":
                visit(value, f"{prefix}{name}.")

    visit(model, "")
    return digests


def _digest(result: Any) -> str:
    parts = result if isinstance(result, list) else [result]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()
