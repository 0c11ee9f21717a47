"""What a policy would see: a task from both cameras, or what perturbations make of it.

Non-obvious behaviour:

- Perturbed pictures come out of the evaluation loop itself, with a policy that only looks. So they are those that an
  episode with the same seed starts with, pixel by pixel.
- Conditions of one kind (same axes, cameras and settings) share a row beside the clean picture.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.assets import is_bundled
from envs.base import ACTION_SIZE, CAMERAS, Env, EnvError, ResetOptions
from envs.build import make_env
from envs.suites import PROTOCOLS, tasks
from perturbations.base import image_difference
from perturbations.spec import parse
from simeval.config.evaluation import EvalConfig, within
from simeval.config.plan import make_plan
from simeval.core.errors import ConfigError
from simeval.core.files import write_image
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.media.captions import Picture, caption, hstack, placeholder, upscale, vstack
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder

COLUMNS = 6
"""Most perturbed pictures side by side; a longer sweep goes on in another row."""

MIN_SIDE = 256
"""Smaller pictures are shown enlarged by a whole number, so that the text above them has room (px)."""

_PROTOCOL = PROTOCOLS["openvla"]


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What the policy would get at one moment under one condition.

    Attributes:
        condition: canonical text.
        images: `uint8[H, W, 3]` by camera; empty if it would not get anything.
        instruction: what it is told.
        why: why it would not get anything, in one line; else empty.
    """

    condition: str
    images: Mapping[str, Picture]
    instruction: str
    why: str


class _IdlePolicy:
    """A policy that holds still and keeps the last thing it was given."""

    spec = PolicySpec("onlooker", 1, CAMERAS)

    def __init__(self) -> None:
        self.given: PolicyInput | None = None

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        self.given = inputs[-1]
        idle = np.zeros((1, ACTION_SIZE), np.float32)
        idle[0, -1] = -1  # the gripper stays open
        return [idle for _ in inputs]


def look(env: Env, spec: EpisodeSpec, step: int = 0) -> PolicyView:
    """What a policy that holds still would get after `step` control steps of an episode.

    Args:
        env: the built scene of the episode's task, at its resolution.
        spec: the episode.
        step: control steps before the look, for perturbations that begin later.
    """
    eyes = _IdlePolicy()
    result = run_episode(replace(spec, max_steps=step + 1), env, eyes, TraceRecorder())
    if result.outcome in ("error", "infeasible"):
        return PolicyView(spec.condition, {}, "", f"{result.outcome}: {result.error_text}")
    assert eyes.given is not None
    # A copy: what a policy is given need not outlive the step.
    images = {camera: np.array(image) for camera, image in eyes.given.observation.images.items()}
    return PolicyView(spec.condition, images, eyes.given.instruction, "")


def condition_sheet(episodes: Sequence[EpisodeSpec], *, assets: Path | None, step: int = 0) -> Picture:
    """Both cameras of one pair under each of its conditions, beside the clean pictures, with the realised PSNR.

    Args:
        episodes: episodes of one pair, in the order of the sheet; the clean one need not be among them.
        assets: LIBERO asset folder; the toy suite needs none.
        step: control steps before the look.

    Returns:
        `uint8[H, W, 3]`, RGB.

    Raises:
        EnvError: the scene cannot be built.
        ValueError: the episodes are not of one pair.
    """
    first = episodes[0]
    if any((spec.pair_id, spec.root_seed) != (first.pair_id, first.root_seed) for spec in episodes):
        raise ValueError("a sheet shows the conditions of one pair")
    env = make_env(first.suite, first.task, first.resolution, assets)
    try:
        clean = look(env, replace(first, condition=CLEAN), step)
        views = [look(env, spec, step) for spec in episodes if spec.condition != CLEAN]
    finally:
        env.close()
    title = f"{_name(assets)} | {first.suite} {first.task} | initial state {first.init_state} | seed {first.root_seed}"
    title += f" | after {step} control steps" if step else ""
    blocks = [vstack(_block(clean, kinds)) for kinds in _shelves(_kinds(views))]
    width = max((block.shape[1] for block in blocks), default=MIN_SIDE * len(CAMERAS))
    return vstack([caption([title, clean.instruction], width), *blocks])


def _kinds(views: Sequence[PolicyView]) -> list[list[PolicyView]]:
    """Views whose conditions differ in their values alone, together, in order of appearance."""
    found: dict[object, list[PolicyView]] = {}
    for view in views:
        kind = tuple((term.axis, term.camera, term.options) for term in parse(view.condition).terms)
        found.setdefault(kind, []).append(view)
    return list(found.values())


def _shelves(kinds: Sequence[list[PolicyView]]) -> list[list[list[PolicyView]]]:
    """Kinds that share a row, in order; a kind that is too long for one goes on in the next."""
    shelves: list[list[list[PolicyView]]] = []
    for part in (list(part) for kind in kinds for part in batched(kind, COLUMNS)):
        if shelves and sum(map(len, shelves[-1])) + len(part) <= COLUMNS:
            shelves[-1].append(part)
        else:
            shelves.append([part])
    return shelves


def _block(clean: PolicyView, kinds: Sequence[Sequence[PolicyView]]) -> list[Picture]:
    """The clean column and those of some kinds: what each means, the conditions' names, and each camera's pictures."""
    side = next(iter(clean.images.values())).shape[0] if clean.images else MIN_SIDE
    times = -(-MIN_SIDE // side)
    side *= times
    meanings = [caption([""], side)]
    for kind in kinds:
        terms = parse(kind[0].condition).terms
        # Explanations of a mixture would take more room than its pictures.
        texts = [f"{term.axis}: {term.info.value_means}" for term in terms if len(terms) == 1]
        meanings.append(caption(texts, side * len(kind), strong=False))
    shown = [clean, *(view for kind in kinds for view in kind)]
    columns = [_column(view, clean, side, times) for view in shown]
    return [caption([], side), hstack(meanings), *(hstack(parts) for parts in zip(*columns, strict=True))]


def _column(view: PolicyView, clean: PolicyView, side: int, times: int) -> list[Picture]:
    """One condition: its name, what the policy is told if that is new, and each camera's picture above its change."""
    told = "" if view.why or view.instruction == clean.instruction else f'told: "{view.instruction}"'
    parts = [caption(["clean" if view is clean else view.condition, told], side)]
    for camera in CAMERAS:
        if camera in view.images:
            text = camera if view is clean else _change(clean.images.get(camera), view.images[camera])
            parts += [upscale(view.images[camera], times), caption([text], side, strong=False)]
        else:
            parts += [placeholder(side, view.why), caption([camera if view is clean else ""], side, strong=False)]
    return parts


def _change(clean: Picture | None, seen: Picture) -> str:
    if clean is None:
        return ""
    difference = image_difference(clean, seen)
    psnr = difference.psnr
    return "unchanged" if psnr is None else f"PSNR {psnr:.1f} dB, change {difference.mean_abs:.1f}"


def contact_sheet(
    suite: str, task: int, *, init_state: int = 0, assets: Sequence[Path], size: int = 256
) -> NDArray[np.uint8]:
    """Both cameras of a task's initial state, after settling, one row per asset folder under a caption.

    Args:
        suite: an entry of `suites.SUITES`.
        task: its index.
        init_state: index of the published initial state.
        assets: LIBERO asset folders, drawn from top to bottom; the toy suite needs none.
        size: side of each picture (px).

    Returns:
        `uint8[H, 2 * size, 3]`, RGB.

    Raises:
        EnvError: a scene cannot be built, or there is no such initial state.
    """
    folders: Sequence[Path | None] = list(assets) or [None]
    instruction = tasks(suite)[task].instruction
    rows = []
    for folder in folders:
        pictures = _pictures(suite, task, init_state, folder, size)
        title = f"{_name(folder)} | {suite} {task} | initial state {init_state}"
        rows += [caption([title, instruction], size * len(CAMERAS)), hstack(pictures)]
    return vstack(rows)


def _pictures(suite: str, task: int, init_state: int, assets: Path | None, size: int) -> list[Picture]:
    env = make_env(suite, task, size, assets)
    try:
        env.reset(ResetOptions(init_state, _PROTOCOL.env_seed(init_state), _PROTOCOL.limits[suite].settle_steps))
        images = env.observe().images
    finally:
        env.close()
    return [images[camera] for camera in CAMERAS]


def _name(assets: Path | None) -> str:
    if assets is None:
        return "toy"
    return "bundled scenes" if is_bundled(assets) else f"official scenes ({assets.name})"


IMAGE_FILES = (".png", ".jpg", ".jpeg")
"""What a preview may be written as."""


MAX_STEP = 10_000
"""Control steps before a preview: more than any protocol's limit; each takes time."""


def write_preview(config: EvalConfig, *, size: int, out: Path, step: int = 0) -> Path:
    """Draw what a policy would see of one task into a PNG file: a row per set of scenes, or what perturbations do.

    Args:
        config: one suite, task and initial state; `perturb` for a sheet of perturbations in one set of scenes (the
            bundled ones by default), none for a row of each set that is here.
        size: side of a picture (px).
        out: where to.
        step: control steps that the robot has held still, for perturbations over time.

    Raises:
        ConfigError: no such task, initial state or perturbation, or its scenes cannot be had.
    """
    from envs.libero.files import resolve_assets
    from envs.sim.opengl import check_drawing

    plan, (suite,), assets = make_plan(config), config.suite, config.assets
    first = plan.episodes[0]
    if out.suffix.lower() not in IMAGE_FILES:
        raise ConfigError(f"--out {out}: name a file that ends in {', '.join(IMAGE_FILES)}")
    within("--size", size, 64, 1024)
    within("--step", step, 0, MAX_STEP)
    folders: list[Path] = []
    try:
        check_drawing()
        if suite != "toy":
            folders = [resolve_assets(assets or "bundled")]
            if assets is None and not config.perturb:
                with contextlib.suppress(EnvError):
                    folders.append(resolve_assets("cached"))
        from simeval.media.preview import condition_sheet, contact_sheet

        if config.perturb:
            episodes = [replace(spec, resolution=size) for spec in plan.episodes]
            sheet = condition_sheet(episodes, assets=folders[0] if folders else None, step=step)
        else:
            sheet = contact_sheet(suite, first.task, init_state=first.init_state, assets=folders, size=size)
    except EnvError as error:
        raise ConfigError(str(error)) from None
    try:
        write_image(out, sheet, out.suffix.lower())
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror or error}") from None
    return out
