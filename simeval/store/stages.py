"""How far each episode of a run got: `stages.jsonl`, derived from the stored states by `simeval show RUN --stages`.

Non-obvious behaviour:
- The file is derived. It may be deleted, and is replaced as a whole; nothing else in the run folder changes.
- Every line has its checksum (`simeval.core.checksums`), the header the number of the others. So damage is noticed, and
  costs the entries in damaged lines alone. Files of version 1 had no checksums.
- An entry names the motions that it was computed from, its own and its twin's. One whose episode ran again no longer
  counts. Entries of an older `THRESHOLDS` do not count either.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simeval.core.checksums import sealed_line
from simeval.core.errors import ConfigError
from simeval.core.files import read_regular, replace_file, require_no_way_out
from simeval.core.types import CLEAN, EpisodeResult

if TYPE_CHECKING:
    import pandas as pd

STAGES_FILE = "stages.jsonl"
SCHEMA_VERSION = 2
UNSEALED = 1
"""The last version whose lines had no checksums."""
THRESHOLDS = 1
"""Version of the rules and thresholds of `simeval.analysis.stages`; a change of any of them raises it."""

NEVER_APPROACHED, WRONG_OBJECT, BESIDE, LOST = "never approached", "wrong object", "closed beside", "grasped and lost"
WRONG_PLACE, NOT_MET, OUT_OF_TIME, SUCCESS = "wrong place", "goal not met", "out of time", "success"
STAGES = (NEVER_APPROACHED, WRONG_OBJECT, BESIDE, LOST, WRONG_PLACE, NOT_MET, OUT_OF_TIME, SUCCESS)
"""Every stage, from the earliest way to fail to success."""


class EpisodeStage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How far an episode got.

    Attributes:
        id: of the episode.
        digest: the `state_digest` of its row.
        twin: that of its unperturbed twin; empty for an unperturbed episode, and without a twin.
        stage: an entry of `STAGES`; `None` if it cannot be told.
        reason: why it cannot be told; empty otherwise.
        atom: the part of the goal that the stage is about, for instance `on akita_black_bowl_1 plate_1`; empty for a
            success.
        object: the object concerned: under `wrong object` the wrong one, else the one that the part of the goal wants
            moved.
        compared: whether its motion was compared with that of its twin, whose states have to be stored as well.
        divergence_step: first control step after which the hand is farther than `divergence_m` says from that of the
            unperturbed twin at the same step; `None` if it never is while both run, or if they were not compared.
        divergence_m: the distance of the two hands after that step (m).
    """

    id: str
    digest: str
    twin: str = ""
    stage: str | None = None
    reason: str = ""
    atom: str = ""
    object: str = ""
    compared: bool = False
    divergence_step: int | None = None
    divergence_m: float | None = None


class _Header(msgspec.Struct, frozen=True):
    schema_version: int
    thresholds: int
    episodes: int


def stages_path(folder: Path) -> Path:
    """The file with the stages of a run."""
    return folder / STAGES_FILE


class DamagedStagesError(ConfigError):
    """The stored stages are damaged.

    Attributes:
        path: the file.
        what: what is damaged, for instance `line 3 is damaged`.
        intact: the entries that can be trusted, by episode.
    """

    def __init__(self, path: Path, what: str, intact: Mapping[str, EpisodeStage]) -> None:
        super().__init__(f"{path}: {what}; simeval show {path.parent} --stages computes again what is missing")
        self.path, self.what, self.intact = path, what, dict(intact)


def read_stages(folder: Path) -> dict[str, EpisodeStage]:
    """The stored stages of a run by episode, whether or not the episodes ran again since; see `current_stages`.

    Returns:
        Nothing if none were computed, or if they are of other thresholds.

    Raises:
        DamagedStagesError: the file is damaged.
        ConfigError: it is of a later version, or cannot be read.
    """
    path = stages_path(folder)
    require_no_way_out(folder, path)
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; remove it to compute the stages again") from None
    first, _, rest = data.partition(b"\n")
    header = _header(path, first + b"\n")
    return _entries(path, header, rest) if header.thresholds == THRESHOLDS else {}


def _header(path: Path, line: bytes) -> _Header:
    sealed = zlib.crc32(line) == 0
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        header = None
    if header is None or (not sealed and (b"crc" in line or UNSEALED < header.schema_version <= SCHEMA_VERSION)):
        raise DamagedStagesError(path, "line 1 is damaged, which says what the others are", {})
    if header.schema_version > SCHEMA_VERSION:
        raise ConfigError(f"{path}: was written by a later simeval; delete it to compute the stages again")
    return header


def _entries(path: Path, header: _Header, data: bytes) -> dict[str, EpisodeStage]:
    sealed, decoder = header.schema_version > UNSEALED, msgspec.json.Decoder(EpisodeStage)
    *lines, torn = data.split(b"\n")
    found, damaged = [], []
    for number, line in enumerate([*lines, torn] if torn else lines, 2):
        try:
            stage = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            stage = None
        if stage is None or stage.stage not in (None, *STAGES) or (sealed and zlib.crc32(line + b"\n")):
            damaged.append(number)
        else:
            found.append(stage)
    names = Counter(stage.id for stage in found)
    intact = {stage.id: stage for stage in found if names[stage.id] == 1}
    if damaged:
        more = f" and {len(damaged) - 1} more lines are" if len(damaged) > 1 else " is"
        raise DamagedStagesError(path, f"line {damaged[0]}{more} damaged", intact)
    if len(intact) != header.episodes:
        raise DamagedStagesError(
            path, f"is damaged: {len(found)} entries, not {header.episodes} different ones", intact
        )
    return intact


def available_stages(folder: Path) -> tuple[dict[str, EpisodeStage], str]:
    """As `read_stages`, of a damaged file what can be trusted; and why others are missing, empty if none are."""
    try:
        return read_stages(folder), ""
    except DamagedStagesError as error:
        return error.intact, str(error)
    except ConfigError as error:
        return {}, str(error)


def current_stages(stored: Mapping[str, EpisodeStage], results: Iterable[EpisodeResult]) -> dict[str, EpisodeStage]:
    """The stored stages that belong to these rows, by episode.

    Args:
        stored: by episode.
        results: of all episodes of the run.
    """
    results = list(results) if stored else []
    twins = twin_digests(results)
    found = ((result, stored.get(result.spec.id)) for result in results)
    return {
        stage.id: stage
        for result, stage in found
        if stage is not None and (stage.digest, stage.twin) == (result.state_digest, twin_of(result, twins))
    }


def twin_digests(results: Iterable[EpisodeResult]) -> dict[str, str]:
    """The motions of the unperturbed episodes, by pair."""
    return {r.spec.pair_id: r.state_digest for r in results if r.spec.condition == CLEAN}


def twin_of(result: EpisodeResult, twins: Mapping[str, str]) -> str:
    """The motion of an episode's unperturbed twin, see `EpisodeStage.twin`."""
    return "" if result.spec.condition == CLEAN else twins.get(result.spec.pair_id, "")


def write_stages(folder: Path, stages: Iterable[EpisodeStage]) -> None:
    """Replace the stored stages of a run; the same stages give the same bytes.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path, listed = stages_path(folder), list(stages)
    require_no_way_out(folder, path)
    objects = [_Header(SCHEMA_VERSION, THRESHOLDS, len(listed)), *listed]
    try:
        replace_file(path, b"".join(sealed_line(msgspec.to_builtins(one)) for one in objects))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from None


def stage_table(stages: Iterable[EpisodeStage]) -> "pd.DataFrame":
    """The columns `id`, `stage`, `stage_reason`, `stage_object`, `stage_atom`, `divergence_step`, `divergence_cm`."""
    import pandas as pd

    listed = list(stages)
    columns = {
        "id": [each.id for each in listed],
        "stage": [each.stage for each in listed],
        "stage_reason": [each.reason or None for each in listed],
        "stage_object": [each.object or None for each in listed],
        "stage_atom": [each.atom or None for each in listed],
    }
    numbers = {
        "divergence_step": [each.divergence_step for each in listed],
        "divergence_cm": [None if each.divergence_m is None else 100 * each.divergence_m for each in listed],
    }
    return pd.DataFrame(columns | numbers).astype(dict.fromkeys(columns, "str") | dict.fromkeys(numbers, float))
