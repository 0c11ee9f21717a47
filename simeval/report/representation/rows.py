"""What was found inside policies as flat rows: for tables, and as they are for CSV files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simeval.core.types import CLEAN
from simeval.probing.probes import PROBES
from simeval.probing.results import ProbeRow, Representations, RetentionRow
from simeval.probing.vectors import PIXELS
from simeval.stats.intervals import Interval

READ = (
    "score: what a linear probe reads from a layer, fitted on clean frames and tested on held-out ones, in per cent. "
    "instruction, object: mean share of each class that is right; target: share of the pairs of named and other object "
    "of a frame in right order; position, position in image, colour: explained share of the squared deviation, below 0 "
    "if the mean is better. 95 % intervals for other initial states, given the fits. chance: the same with shuffled "
    "labels; p: share of shuffled probes that are as good. pixels: the same from the small image, without a network."
)
HELD = (
    "Held out: initial states (instruction, object, positions), tasks (target), kinds of objects (colour). Image "
    "tokens of an object's regions: object, target, colour; mean over all image tokens, or over the executed actions "
    "at the first denoising step: the others."
)
KEPT = (
    "kept: score minus that of the start, on the same frames, in points, with 95 % intervals for other initial states; "
    "below 0, less can be read than before. kept, all probes: the same for the mean of all probes, each from 0 (a "
    "constant guess or worse) to 100."
)
SIMILAR = (
    "CKA: debiased linear CKA of a layer and the start's on the same frames; 1 is the same geometry, 0 unrelated. "
    "cosine: mean cosine of the frames' vectors. Neither says whether a difference matters."
)
LOOK = (
    "on named objects: share of the action expert's attention on images that is on the objects that the instruction "
    "asks to move, by the simulator's mask and region by region; peak: share of frames in which the region with the "
    "most attention is one that they touch. chance: uniform attention, a random region. First denoising step."
)
PLANE = (
    "t-SNE of the clean frames, fixed seed. silhouette: are instructions apart in the features themselves, from -1 to "
    "1, 0 for not at all; in the plane: the same in the picture, which exaggerates; trustworthiness: are neighbours in "
    "the picture neighbours in the features (1: all, about 0.5: chance)."
)


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One probe of one layer on clean frames, beside its baselines."""

    probe: str
    layer: str
    policy: str
    score: float | None
    interval: Interval | None
    error: float | None
    chance: float | None
    p: float | None
    pixels: float | None
    n: int
    states: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A policy beside the start under a condition, at one layer."""

    policy: str
    condition: str
    layer: str
    kept: float | None
    cka: float | None
    cosine: float | None


def read_rows(found: Representations, layers: Sequence[str], condition: str = CLEAN) -> Iterator[ReadRow]:
    """What can be read from some layers under a condition: by probe, layer and policy."""
    by_key = {(row.policy, row.layer, row.probe, row.condition): row for row in found.probes}
    for probe in PROBES:
        pixels = by_key.get(("", PIXELS, probe.name, condition))
        for layer in layers:
            for policy in found.policies:
                row = by_key.get((policy, layer, probe.name, condition))
                if row is not None:
                    yield _read(row, pixels)


def _read(row: ProbeRow, pixels: ProbeRow | None) -> ReadRow:
    score = row.score
    return ReadRow(
        *(row.probe, row.layer, row.policy, score.score, score.interval, score.error, score.chance, score.p),
        *(pixels.score.score if pixels else None, score.n, score.units, score.reason),
    )


def change_rows(found: Representations, layer: str) -> list[ChangeRow]:
    """Every policy but the start, under every condition, at one layer."""
    similar = {(row.policy, row.condition): row for row in found.similarity if row.layer == layer}
    return [
        ChangeRow(
            *(policy, condition, layer, kept_of(found, policy, condition, layer)),
            *((row.cka, row.cosine) if (row := similar.get((policy, condition))) else (None, None)),
        )
        for policy in found.policies
        if policy != found.start
        for condition in found.conditions
    ]


def kept_of(found: Representations, policy: str, condition: str, layer: str) -> float | None:
    """Mean over the probes of the difference in skill to the start; `None` without probes."""
    skills = [
        row.skill for row in found.retention if (row.policy, row.condition, row.layer) == (policy, condition, layer)
    ]
    return sum(skills) / len(skills) if skills else None


def kept_rows(found: Representations, layer: str) -> list[RetentionRow]:
    """What is kept of each probe at one layer."""
    return [row for row in found.retention if row.layer == layer]
