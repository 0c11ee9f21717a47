"""The pooled vectors of an audit's rows on disk, and the drift of all frames of a condition computed from them.

The similarity of two sets of frames needs all rows, and an audit may be interrupted. So the vectors of each row are
stored in `vectors.jsonl` beside `drift.jsonl` (15 kB per row for d = 960), and compared at the end.

Non-obvious behaviour:
- Lines have the keys of rows, so their order does not matter. A row that is measured twice may have two lines; they are
  equal. Infeasible rows have none.
- A torn last line (killed while writing, disk full) is cut off when the file is opened for writing; readers skip it.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simeval.core.checksums import read_objects, sealed_line
from simeval.core.drift_row import FLOOR, DriftRow, Key
from simeval.core.errors import ConfigError
from simeval.core.jsonl import JsonlAppender, JsonlWriter
from simeval.core.texts import shown
from simeval.core.types import CLEAN
from simeval.drift.representation import PARTS, Vectors, set_distances

FILE = "vectors.jsonl"
_REMEDY = "start the audit again in another --out"


@dataclass(frozen=True, slots=True)
class SetDrift:
    """Representation drift of all frames of a condition together.

    Attributes:
        condition: canonical text.
        n: number of compared views: frames times seeds.
        distances: (name, distance), see `simeval.drift.representation.set_distances`.
    """

    condition: str
    n: int
    distances: tuple[tuple[str, float | None], ...]


class VectorWriter(JsonlWriter):
    """Writes an audit's vectors. Use it as a context manager inside that of the rows, which locks the folder.

    Write vectors before their rows: a row without vectors would never get any.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file for appending; a missing one is created.

        Args:
            folder: of the audit; exists.

        Raises:
            ConfigError: the file cannot be written.
        """
        self._path = folder / FILE
        try:
            super().__init__(JsonlAppender(self._path))
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror or error}") from None

    def append(self, vectors: Sequence[tuple[Key, Vectors]]) -> None:
        """Write the vectors of rows, each `float32[3, d]`.

        Raises:
            ConfigError: the file cannot be written.
        """
        lines = [
            sealed_line({"key": list(key), "vectors": base64.b64encode(np.asarray(part, "<f4").tobytes()).decode()})
            for key, part in vectors
        ]
        try:
            self._file.append(b"".join(lines))
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror or error}") from None


def read_vectors(folder: Path) -> dict[Key, Vectors]:
    """The vectors of an audit by row; empty if it has none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = folder / FILE
    by_key: dict[Key, Vectors] = {}
    for number, value in read_objects(path, "the vectors of a row", _REMEDY):
        try:
            # Older versions wrote a list of four.
            (frame, condition, seed), text = (
                (value["key"], value["vectors"]) if isinstance(value, dict) else (value[:3], value[3])
            )
            vectors = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(len(PARTS), -1)
            by_key[str(frame), str(condition), int(seed)] = vectors
        except (ValueError, TypeError, KeyError, IndexError) as error:
            reason = shown(error, 80)
            raise ConfigError(f"{path}: line {number} is not the vectors of a row ({reason}); {_REMEDY}") from error
    return by_key


def set_drift(rows: Sequence[DriftRow], vectors: Mapping[Key, Vectors]) -> tuple[SetDrift, ...]:
    """Compare the frames of each condition with the clean ones, in the order in which conditions appear.

    Args:
        rows: of an audit; rows of the clean condition represent the clean frames.
        vectors: of its rows. A frame without vectors, clean or under a condition, is left out of that condition.
    """
    conditions = dict.fromkeys(row.condition for row in rows if row.condition not in (CLEAN, FLOOR))
    drifts = []
    for condition in conditions:
        keys = [row.key for row in rows if row.condition == condition]
        pairs = [
            (vectors[frame, CLEAN, seed], vectors[frame, condition, seed])
            for frame, _, seed in keys
            if (frame, CLEAN, seed) in vectors and (frame, condition, seed) in vectors
        ]
        if pairs:
            clean, perturbed = (np.stack(side) for side in zip(*pairs, strict=True))
            drifts.append(SetDrift(condition, len(pairs), set_distances(clean, perturbed)))
    return tuple(drifts)
