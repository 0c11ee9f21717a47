"""Which probes there are, how their samples are made of frames and objects, and what is held out for each.

Non-obvious behaviour:
- What is held out decides what a probe shows. Where classes belong to tasks (instruction, kind of object), initial
  states are held out. Whether an object is the named one is tested in tasks that the probe was not fitted on, and its
  colour on kinds of objects that it was not: otherwise a probe knows them by heart.
- Positions are read from the whole frame (what a policy can act on), with initial states held out.
- The colour of an object is that of its visible pixels in the clean image, also under a perturbation.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simeval.probing.frame_set import FrameSet
from simeval.probing.vectors import MIN_PIXELS
from simeval.stats.held_out import deal_folds, shuffle_groups, shuffle_within
from simeval.stats.probe import SHUFFLES, Kind, ProbeData, ProbeScore

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe.

    Attributes:
        name: what it reads.
        of: whether a sample is a frame or an object in it.
        kind: of its labels.
        held_out: what stands on one side only: `state`, `task`, or `kind` of object.
        unit: of its labels, for numbers.
    """

    name: str
    of: Literal["frame", "object"]
    kind: Kind
    held_out: Literal["state", "task", "kind"]
    unit: str = ""


PROBES = (
    Probe("instruction", "frame", "classes", "state"),
    Probe("position", "frame", "numbers", "state", "m"),
    Probe("position in image", "frame", "numbers", "state", "image"),
    Probe("object", "object", "classes", "state"),
    Probe("target", "object", "pairs", "task"),
    Probe("colour", "object", "numbers", "kind", "RGB"),
)
"""In the order of the tables."""
HELD_OUT = {"state": "initial states", "task": "tasks", "kind": "kinds of objects"}
_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The samples of a probe in one set of frames, without features.

    Attributes:
        frames: int[n], index of the frame.
        objects: int[n], index of the object; -1 for the frame.
        data: labels and groups; its features are empty.
    """

    frames: Ints
    objects: Ints
    data: ProbeData


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Numbers of the names in the clean frames and beyond, alike in all sets of frames."""

    labels: Mapping[str, int]
    clusters: Mapping[str, int]
    kinds: Mapping[str, int]
    tasks: Mapping[tuple[str, int], int]
    colors: Mapping[tuple[str, str], NDArray[np.float64]]

    @staticmethod
    def of(clean: FrameSet, others: Sequence[FrameSet]) -> "Vocabulary":
        """The names in all sets of frames; the colours of the clean one."""
        infos = [info for part in (clean, *others) for info in part.frames]
        names = [kind_of_object(name) for info in infos for name in info.objects]
        return Vocabulary(
            labels=_numbered(info.label for info in infos if info.label),
            clusters=_numbered(info.cluster for info in infos),
            kinds=_numbered(names),
            tasks=_numbered((info.suite, info.task) for info in infos),
            colors=_colors(clean),
        )


def kind_of_object(name: str) -> str:
    """What an object is, without its number in the scene: `akita_black_bowl_2` -> `akita_black_bowl`."""
    return _NUMBER.sub("", name)


def samples(probe: Probe, found: FrameSet, words: Vocabulary, seed: int) -> Samples:
    """The samples of a probe that have a label, with labels shuffled for its chance level.

    Args:
        probe: the probe.
        found: frames.
        words: numbers of the names.
        seed: of the shuffled labels; with equal groups, they are shuffled in the same ways for all sets of frames.
    """
    frames, objects, labels = _labelled(probe, found, words)
    infos = [found.frames[k] for k in frames]
    units = np.array([words.clusters[info.cluster] for info in infos], np.int64)
    tasks = np.array([words.tasks[info.suite, info.task] for info in infos], np.int64)
    kinds = np.array(
        [words.kinds[kind_of_object(i.objects[k])] if k >= 0 else 0 for i, k in zip(infos, objects, strict=True)],
        np.int64,
    )
    groups = {"state": units, "task": tasks, "kind": kinds}[probe.held_out]
    shuffled = []
    for number in range(SHUFFLES):
        rng = np.random.default_rng([seed, number])
        if probe.of == "frame":
            shuffled.append(shuffle_groups(labels, units, rng))
        elif probe.held_out == "kind":
            shuffled.append(shuffle_within(labels, np.zeros_like(kinds), kinds, rng))
        else:
            shuffled.append(shuffle_within(labels, units, objects, rng))
    data = ProbeData(np.zeros((len(frames), 0)), labels, groups, units, sets=frames, shuffled=tuple(shuffled))
    return Samples(frames, objects, data)


def folds_of(probe: Probe, clean: Samples, found: FrameSet, words: Vocabulary, seed: int) -> Ints:
    """The fold of each clean sample; initial states of a task are dealt to different folds."""
    infos = [found.frames[k] for k in clean.frames]
    strata = np.array([words.tasks[info.suite, info.task] for info in infos], np.int64)
    return deal_folds(clean.data.groups, strata if probe.held_out == "state" else np.zeros_like(strata), seed)


def baseline(probe: Probe, clean: Samples) -> float:
    """Score of a constant guess."""
    if probe.kind == "classes":
        return 1 / max(1, len(np.unique(clean.data.labels)))
    return 0.5 if probe.kind == "pairs" else 0.0


def skill(score: ProbeScore, guess: float) -> float | None:
    """A score on one scale for all probes: 0 for a constant guess or worse, 1 for all that there is."""
    if score.score is None or guess >= 1:
        return None
    return float(np.clip((score.score - guess) / (1 - guess), 0.0, 1.0))


def _labelled(probe: Probe, found: FrameSet, words: Vocabulary) -> tuple[Ints, Ints, NDArray[np.generic]]:
    """Frame, object and label of each sample that has one."""
    rows: list[tuple[int, int, object]] = []
    visible = found.masks.sum(axis=(2, 3, 4)) >= MIN_PIXELS
    for k, info in enumerate(found.frames):
        if probe.of == "frame":
            label = _frame_label(probe.name, found, k, words)
            rows += [] if label is None else [(k, -1, label)]
            continue
        for j, name in enumerate(info.objects):
            if not visible[k, j] or (probe.name == "target" and not (info.label and any(info.named))):
                continue
            of_object: object = words.kinds[kind_of_object(name)]
            if probe.name == "target":
                of_object = int(info.named[j])
            elif probe.name == "colour":
                of_object = words.colors.get((info.id, name))
            rows += [] if of_object is None else [(k, j, of_object)]
    frames = np.array([row[0] for row in rows], np.int64)
    objects = np.array([row[1] for row in rows], np.int64)
    return frames, objects, np.array([row[2] for row in rows])


def _frame_label(name: str, found: FrameSet, k: int, words: Vocabulary) -> object:
    info = found.frames[k]
    if name == "instruction":
        return words.labels[info.label] if info.label else None
    named = np.flatnonzero(info.named)
    if not len(named):
        return None
    if name == "position":
        return found.positions[k, named].mean(axis=0)
    mask = found.masks[k, named, 0].any(axis=0)
    if mask.sum() < MIN_PIXELS:
        return None
    height, width = mask.shape
    y, x = np.nonzero(mask)
    return np.array([(x.mean() + 0.5) / width, (y.mean() + 0.5) / height])


def _colors(clean: FrameSet) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Mean colour of each object's visible pixels, over the cameras, in [0, 1]."""
    found = {}
    for info, images, masks in zip(clean.frames, clean.images, clean.masks, strict=True):
        for name, mask in zip(info.objects, masks, strict=False):
            if mask.sum() >= MIN_PIXELS:
                found[info.id, name] = images[mask].mean(axis=0, dtype=np.float64) / 255
    return found


def _numbered[T: (str, tuple[str, int])](names: Iterable[T]) -> dict[T, int]:
    return {name: number for number, name in enumerate(sorted(set(names)))}
