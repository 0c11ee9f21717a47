"""The pooled vectors behind an audit's rows, on disk, and what they say about all frames of a condition together.

How alike sets of frames are cannot be had row by row, and an audit may be interrupted. So the vectors of each row are
kept, in `vectors.jsonl` beside `drift.jsonl` (15 kB per row for d = 960), and compared at the end.

Non-obvious behaviour:
- Lines have the keys of rows, so the order does not matter, and a row that is measured again may have two lines: they
  say the same. Infeasible rows have none.
- A torn last line (killed while writing, disk full) is cut off when the file is opened for writing; readers skip it.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from simeval.core.checksums import read_objects, sealed_line
from simeval.core.drift_row import FLOOR, DriftRow, Key
from simeval.core.errors import ConfigError
from simeval.core.jsonl import JsonlAppender
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
        n: views compared: frames times seeds.
        distances: (name, distance), see `simeval.drift.representation.set_distances`.
    """

    condition: str
    n: int
    distances: tuple[tuple[str, float | None], ...]


class VectorWriter:
    """The one writer of an audit's vectors; use as a context manager, inside that of the rows, which locks the folder.

    Vectors are to be written before their rows: a row without vectors would never get any.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file, new or to be added to.

        Args:
            folder: of the audit; exists.

        Raises:
            ConfigError: it cannot be written.
        """
        self._path = folder / FILE
        try:
            self._file = JsonlAppender(self._path)
            self._file.cut_torn_line()
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror or error}") from None

    def append(self, vectors: Sequence[tuple[Key, Vectors]]) -> None:
        """Write the vectors of rows, each `float32[3, d]`.

        Raises:
            ConfigError: they cannot be written.
        """
        lines = [
            sealed_line({"key": list(key), "vectors": base64.b64encode(np.asarray(part, "<f4").tobytes()).decode()})
            for key, part in vectors
        ]
        try:
            self._file.append(b"".join(lines))
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_vectors(folder: Path) -> dict[Key, Vectors]:
    """The vectors of an audit by row; empty if it has none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = folder / FILE
    found: dict[Key, Vectors] = {}
    for number, value in read_objects(path, "the vectors of a row", _REMEDY):
        try:
            # Older versions wrote a list of four.
            (frame, condition, seed), text = (
                (value["key"], value["vectors"]) if isinstance(value, dict) else (value[:3], value[3])
            )
            vectors = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(len(PARTS), -1)
            found[str(frame), str(condition), int(seed)] = vectors
        except (ValueError, TypeError, KeyError, IndexError) as error:
            reason = shown(error, 80)
            raise ConfigError(f"{path}: line {number} is not the vectors of a row ({reason}); {_REMEDY}") from error
    return found


def set_drift(rows: Sequence[DriftRow], vectors: Mapping[Key, Vectors]) -> tuple[SetDrift, ...]:
    """Compare the frames of each condition with the clean ones, in the order in which conditions appear.

    Args:
        rows: of an audit; those of the clean condition stand for the clean frames.
        vectors: of its rows. Frames that lack them under a condition, or clean, are left out of that condition.
    """
    conditions = dict.fromkeys(row.condition for row in rows if row.condition not in (CLEAN, FLOOR))
    found = []
    for condition in conditions:
        keys = [row.key for row in rows if row.condition == condition]
        pairs = [
            (vectors[frame, CLEAN, seed], vectors[frame, condition, seed])
            for frame, _, seed in keys
            if (frame, CLEAN, seed) in vectors and (frame, condition, seed) in vectors
        ]
        if pairs:
            clean, perturbed = (np.stack(side) for side in zip(*pairs, strict=True))
            found.append(SetDrift(condition, len(pairs), set_distances(clean, perturbed)))
    return tuple(found)
