"""What was found inside policies, as it is stored: `representation.json`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from simeval.core.errors import ConfigError
from simeval.core.files import read_regular
from simeval.core.texts import shown
from simeval.stats.embedding import Embedding
from simeval.stats.intervals import Interval
from simeval.stats.pointing import Pointing
from simeval.stats.probe import ProbeScore
from simeval.store.run import REPRESENTATION, write_json

FILE = REPRESENTATION
SCHEMA_VERSION = 1
NAMED, OTHERS = "named objects", "other objects"
"""What attention is measured on."""


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe of one layer.

    Attributes:
        policy: its name; empty for the pixels, which belong to none.
        layer: its name.
        probe: see `simeval.probing.probes.PROBES`.
        condition: that the tested frames are under; the probe was fitted on clean ones.
        score: on the held-out groups.
        skill: the score on one scale for all probes, see `simeval.probing.probes.skill`.
    """

    policy: str
    layer: str
    probe: str
    condition: str
    score: ProbeScore
    skill: float | None


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """What a policy keeps of a probe: its score minus that of the start, on the same frames.

    Attributes:
        policy, layer, probe, condition: as in `ProbeRow`.
        kept: difference of the scores; below 0, less can be read than from the start.
        interval: for other initial states, paired; `None` with fewer than six.
        skill: difference of the skills, see `simeval.probing.probes.skill`.
    """

    policy: str
    layer: str
    probe: str
    condition: str
    kept: float
    interval: Interval | None
    skill: float


@dataclass(frozen=True, slots=True)
class SimilarityRow:
    """A layer beside the same layer of the start, on the same frames.

    Attributes:
        policy, layer, condition: as in `ProbeRow`.
        cka: debiased linear CKA over all frames; 1 is the same geometry, 0 unrelated. `None` where undefined.
        cosine: mean cosine of the frames' vectors; `None` where those of the two have different lengths.
        n: number of frames.
    """

    policy: str
    layer: str
    condition: str
    cka: float | None
    cosine: float | None
    n: int


@dataclass(frozen=True, slots=True)
class AttentionRow:
    """The action expert's attention on images, against masks.

    Attributes:
        policy, condition: as in `ProbeRow`.
        of: `NAMED` or `OTHERS`.
        pointing: shares and hits, beside chance.
        words: mean share of all attention that is on the instruction.
    """

    policy: str
    condition: str
    of: str
    pointing: Pointing
    words: float


@dataclass(frozen=True, slots=True)
class EmbeddingRow:
    """t-SNE of one layer on the clean frames; `labels` are the instructions, by point."""

    policy: str
    layer: str
    labels: tuple[str, ...]
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Representations:
    """Everything that was found.

    Attributes:
        schema_version: of this file.
        simeval: version that wrote it.
        start: the policy that the others are compared with.
        policies: in order, the start among them.
        suites: of the frames.
        conditions: in order, `none` first.
        layers: in order.
        frames: number of clean frames.
        states: number of their initial states.
        source: description of the frames, one line.
        assets: description of the scenes, one line.
        left_out: (condition, reason); also (policy, reason) where some of its layers are.
        probes, retention, similarity, attention, embeddings: the rows.
    """

    schema_version: int
    simeval: str
    start: str
    policies: tuple[str, ...]
    suites: tuple[str, ...]
    conditions: tuple[str, ...]
    layers: tuple[str, ...]
    frames: int
    states: int
    source: str
    assets: str
    left_out: tuple[tuple[str, str], ...]
    probes: tuple[ProbeRow, ...]
    retention: tuple[RetentionRow, ...]
    similarity: tuple[SimilarityRow, ...]
    attention: tuple[AttentionRow, ...]
    embeddings: tuple[EmbeddingRow, ...]

    @property
    def last_layers(self) -> tuple[str, ...]:
        """The last layer of the language model and of the action expert: those that were chosen beforehand."""
        found = []
        for start in ("vlm", "expert"):
            mine = [name for name in self.layers if name.startswith(start)]
            found += mine[-1:]
        return tuple(found) or self.layers[-1:]


REMEDY = "delete this file and give the `simeval represent` command again, which makes it of what was read"


def write_results(folder: Path, found: Representations) -> None:
    """Store what was found.

    Raises:
        OSError: it cannot be written.
    """
    write_json(folder / FILE, msgspec.to_builtins(found))


def read_results(folder: Path) -> Representations:
    """What was stored.

    Raises:
        ConfigError: the folder has no such file, or it is damaged.
    """
    path = folder / FILE
    try:
        value: Any = msgspec.json.decode(read_regular(path))
        version = value.get("schema_version") if isinstance(value, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise ConfigError(f"{path}: has schema {version}, this simeval reads {SCHEMA_VERSION}; {REMEDY}")
        found = msgspec.convert(value, Representations)
        if reason := _inconsistency(found):
            raise ConfigError(f"{path}: not what `simeval represent` writes ({reason}); {REMEDY}")
        return found
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{folder}: nothing was read from policies here (it has no {FILE})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not what `simeval represent` writes ({error}); {REMEDY}") from None


def _inconsistency(found: Representations) -> str:
    """Why the parts do not belong together; empty if they do."""
    for name in ("policies", "conditions", "layers"):
        if not getattr(found, name):
            return f"{name} is empty"
        if len(set(getattr(found, name))) < len(getattr(found, name)):
            return f"{name} has a name twice"
    if found.start not in found.policies:
        return f"start '{shown(found.start)}' is none of its policies"
    if found.conditions[0] != "none":
        return f"conditions begins with '{shown(found.conditions[0])}' instead of 'none'"
    if not 1 <= found.states <= found.frames:
        return f"{found.frames} frames of {found.states} initial states"
    return _inconsistent_row(found)


def _inconsistent_row(found: Representations) -> str:
    """Why a row does not belong to the rest; empty if all do."""
    known = {"policy": found.policies, "layer": found.layers, "condition": found.conditions}
    for rows in (found.probes, found.retention, found.similarity, found.attention, found.embeddings):
        for row in rows:
            named = {field: getattr(row, field) for field in known if hasattr(row, field)}
            if rows is found.probes and not row.policy:  # the pixels
                del named["policy"], named["layer"]
            for field, name in named.items():
                if name not in known[field]:
                    return f"a row has {field} '{shown(name)}', which it does not list"
    for row in found.attention:
        if row.of not in (NAMED, OTHERS):
            return f"a row is about attention on '{shown(row.of)}', not on {NAMED} or {OTHERS}"
    for row in found.embeddings:
        if row.embedding.points and len(row.embedding.points) != len(row.labels):
            return f"a plane has {len(row.embedding.points)} points and {len(row.labels)} labels"
    numbers = [n for row in found.probes for n in (row.score.n, row.score.units, row.score.folds)]
    numbers += [n for row in found.attention for n in (row.pointing.frames, row.pointing.units)]
    numbers += [row.n for row in found.similarity]
    return f"a row has {min(numbers)} samples" if numbers and min(numbers) < 0 else ""
