"""Previews of a policy's inputs: a task from both cameras, clean or perturbed.

Non-obvious behaviour:

- Perturbed images come from the evaluation loop itself, with a policy that only observes. So they equal, pixel by
  pixel, the first images of an episode with the same seed.
- Conditions of one kind (same axes, cameras and settings) share a row beside the clean image.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from envs.assets import is_bundled
from envs.base import CAMERAS, Env, EnvError, ResetOptions
from envs.build import make_env
from envs.interface import Interface
from envs.protocols import PROTOCOLS
from envs.suites import find_suite, limits, tasks
from perturbations.base import image_difference
from perturbations.condition import Condition
from perturbations.spec import parse
from simeval.config.evaluation import EvalConfig
from simeval.config.options import within
from simeval.config.plan import make_plan
from simeval.core.errors import ConfigError
from simeval.core.files import write_image
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.media.captions import Image, caption, hstack, placeholder, upscale, vstack
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder

COLUMNS = 6
"""Maximum number of perturbed images side by side; a longer sweep continues in the next row."""

MIN_SIDE = 256
"""Smaller images are upscaled by a whole number, so that the text above them fits (px)."""

_PROTOCOL = PROTOCOLS["openvla"]


@dataclass(frozen=True, slots=True)
class ConditionView:
    """The policy's input at one moment under one condition.

    Attributes:
        condition: canonical text.
        images: `uint8[H, W, 3]` by camera; empty if the condition fails.
        instruction: the policy's instruction.
        reason: why the condition fails, one line; else empty.
    """

    condition: str
    images: Mapping[str, Image]
    instruction: str
    reason: str


class _IdlePolicy:
    """A policy that holds still and keeps its last input."""

    def __init__(self, interface: Interface) -> None:
        self.spec = PolicySpec(
            "onlooker",
            1,
            interface.cameras,
            action_size=interface.action_size,
            state_size=interface.state_size,
        )
        self.last_input: PolicyInput | None = None

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        self.last_input = inputs[-1]
        idle = np.zeros((1, self.spec.action_size), np.float32)
        idle[0, -1] = -1  # the gripper stays open
        return [idle for _ in inputs]


def view_at(env: Env, spec: EpisodeSpec, step: int = 0) -> ConditionView:
    """The input of a policy that holds still, after `step` control steps of an episode.

    Args:
        env: the built scene of the episode's task, at its resolution.
        spec: the episode.
        step: control steps before the view, for perturbations that begin later.
    """
    policy = _IdlePolicy(find_suite(spec.suite).interface)
    # A policy that holds still is asked at every step, so that it sees the one that is wanted: it has no latency.
    terms = parse(spec.condition).terms
    seen = str(Condition(tuple(term for term in terms if term.info.channel != "latency")))
    result = run_episode(structs.replace(spec, condition=seen, max_steps=step + 1), env, policy, TraceRecorder())
    if result.outcome in ("error", "infeasible"):
        return ConditionView(spec.condition, {}, "", f"{result.outcome}: {result.error_text}")
    assert policy.last_input is not None
    # A copy: a policy's input may be reused after the step.
    images = {camera: np.array(image) for camera, image in policy.last_input.observation.images.items()}
    return ConditionView(spec.condition, images, policy.last_input.instruction, "")


def condition_sheet(episodes: Sequence[EpisodeSpec], *, assets: Path | None, step: int = 0) -> Image:
    """Both cameras of one pair under each of its conditions, beside the clean images, with the realised PSNR.

    Args:
        episodes: episodes of one pair, in the order of the sheet; the clean one is optional.
        assets: LIBERO asset folder; the toy suite needs none.
        step: control steps before the view.

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
        clean = view_at(env, structs.replace(first, condition=CLEAN), step)
        views = [view_at(env, spec, step) for spec in episodes if spec.condition != CLEAN]
    finally:
        env.close()
    title = f"{_scenes_name(first.suite, assets)} | {first.suite} {first.task} | initial state {first.init_state}"
    title += f" | seed {first.root_seed}"
    title += f" | after {step} control steps" if step else ""
    blocks = [vstack(_block(clean, kinds)) for kinds in _rows_of_kinds(_group_by_kind(views))]
    width = max((block.shape[1] for block in blocks), default=2 * MIN_SIDE)
    return vstack([caption([title, clean.instruction], width), *blocks])


def _group_by_kind(views: Sequence[ConditionView]) -> list[list[ConditionView]]:
    """Group views whose conditions differ only in their values, in order of appearance."""
    by_kind: dict[object, list[ConditionView]] = {}
    for view in views:
        kind = tuple((term.axis, term.camera, term.options) for term in parse(view.condition).terms)
        by_kind.setdefault(kind, []).append(view)
    return list(by_kind.values())


def _rows_of_kinds(kinds: Sequence[list[ConditionView]]) -> list[list[list[ConditionView]]]:
    """Kinds that share a row, in order; a kind that is too long continues in the next row."""
    rows: list[list[list[ConditionView]]] = []
    for part in (list(part) for kind in kinds for part in batched(kind, COLUMNS)):
        if rows and sum(map(len, rows[-1])) + len(part) <= COLUMNS:
            rows[-1].append(part)
        else:
            rows.append([part])
    return rows


def _block(clean: ConditionView, kinds: Sequence[Sequence[ConditionView]]) -> list[Image]:
    """The clean column and those of some kinds: explanation, condition names, and each camera's images."""
    side = next(iter(clean.images.values())).shape[0] if clean.images else MIN_SIDE
    times = -(-MIN_SIDE // side)
    side *= times
    meanings = [caption([""], side)]
    for kind in kinds:
        terms = parse(kind[0].condition).terms
        # Explanations of a combination would take more room than its images.
        texts = [f"{term.axis}: {term.info.value_means}" for term in terms if len(terms) == 1]
        meanings.append(caption(texts, side * len(kind), strong=False))
    shown = [clean, *(view for kind in kinds for view in kind)]
    columns = [_column(view, clean, side, times) for view in shown]
    return [caption([], side), hstack(meanings), *(hstack(parts) for parts in zip(*columns, strict=True))]


def _column(view: ConditionView, clean: ConditionView, side: int, times: int) -> list[Image]:
    """One condition: its name, the instruction if it differs, and each camera's image above its change."""
    instruction_text = (
        "" if view.reason or view.instruction == clean.instruction else f'instruction: "{view.instruction}"'
    )
    parts = [caption(["clean" if view is clean else view.condition, instruction_text], side)]
    for camera in clean.images or CAMERAS:
        if camera in view.images:
            text = camera if view is clean else _change(clean.images.get(camera), view.images[camera])
            parts += [upscale(view.images[camera], times), caption([text], side, strong=False)]
        else:
            parts += [placeholder(side, view.reason), caption([camera if view is clean else ""], side, strong=False)]
    return parts


def _change(clean: Image | None, perturbed: Image) -> str:
    if clean is None:
        return ""
    difference = image_difference(clean, perturbed)
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
        assets: LIBERO asset folders, from top to bottom; the toy suite needs none.
        size: side of each image (px).

    Returns:
        `uint8[H, 2 * size, 3]`, RGB.

    Raises:
        EnvError: a scene cannot be built, or there is no such initial state.
    """
    folders: Sequence[Path | None] = list(assets) or [None]
    instruction = tasks(suite)[task].instruction
    rows = []
    for folder in folders:
        images = _render_cameras(suite, task, init_state, folder, size)
        title = f"{_scenes_name(suite, folder)} | {suite} {task} | initial state {init_state}"
        rows += [caption([title, instruction], size * len(images)), hstack(images)]
    return vstack(rows)


def _render_cameras(suite: str, task: int, init_state: int, assets: Path | None, size: int) -> list[Image]:
    env = make_env(suite, task, size, assets)
    try:
        env.reset(ResetOptions(init_state, _PROTOCOL.env_seed(init_state), limits(_PROTOCOL.name, suite).settle_steps))
        images = env.observe(find_suite(suite).interface.cameras).images
    finally:
        env.close()
    return list(images.values())


def _scenes_name(suite: str, assets: Path | None) -> str:
    if assets is None:
        return suite
    return "bundled scenes" if is_bundled(assets) else f"official scenes ({assets.name})"


IMAGE_FILES = (".png", ".jpg", ".jpeg")
"""File types of a preview."""


MAX_STEP = 10_000
"""Maximum number of control steps before a preview: more than any protocol's limit; each takes time."""


def write_preview(config: EvalConfig, *, size: int, out: Path, step: int = 0) -> Path:
    """Write an image of a policy's inputs for one task: a row per set of scenes, or a sheet of perturbations.

    Args:
        config: one suite, task and initial state; `perturb` for a sheet of perturbations in one set of scenes (the
            bundled ones by default), none for a row of each available set.
        size: side of an image (px).
        out: the file.
        step: control steps for which the robot holds still first, for perturbations over time.

    Raises:
        ConfigError: no such task, initial state or perturbation, or its scenes are not available.
    """
    from envs.libero.files import resolve_assets
    from envs.sim.opengl import check_drawing

    plan = make_plan(replace(config, policy=config.policy or "zero"))  # no policy is asked
    (suite,), assets = config.suite, config.assets
    first = plan.episodes[0]
    if out.suffix.lower() not in IMAGE_FILES:
        raise ConfigError(f"--out {out}: name a file that ends in {', '.join(IMAGE_FILES)}")
    within("--size", size, 64, 1024)
    within("--step", step, 0, MAX_STEP)
    folders: list[Path] = []
    try:
        check_drawing()
        if find_suite(suite).needs_assets:
            folders = [resolve_assets(assets or "bundled")]
            if assets is None and not config.perturb:
                with contextlib.suppress(EnvError):
                    folders.append(resolve_assets("cached"))
        if config.perturb:
            episodes = [structs.replace(spec, resolution=size) for spec in plan.episodes]
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
