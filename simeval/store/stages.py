"""How far each episode of a run got: `stages.jsonl`, derived from the stored states by `simeval show RUN --stages`.

Non-obvious behaviour:
- The file is derived. It may be deleted, and is replaced as a whole; nothing else in the run folder changes.
- An entry names the motions that it was computed from, its own and its twin's. One whose episode ran again no longer
  counts. Entries of an older `THRESHOLDS` do not count either.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simeval.core.errors import ConfigError
from simeval.core.files import read_regular, replace_file, require_no_way_out
from simeval.core.types import CLEAN, EpisodeResult

if TYPE_CHECKING:
    import pandas as pd

STAGES_FILE = "stages.jsonl"
SCHEMA_VERSION = 1
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


def read_stages(folder: Path) -> dict[str, EpisodeStage]:
    """The stored stages of a run by episode, whether or not the episodes ran again since; see `current_stages`.

    Returns:
        Nothing if none were computed, or if they are of other thresholds.

    Raises:
        ConfigError: the file is damaged, of a later version, or cannot be read.
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
    try:
        header = msgspec.json.decode(first, type=_Header)
        if header.schema_version > SCHEMA_VERSION:
            raise ConfigError(f"{path}: was written by a later simeval; delete it to compute the stages again")
        if header.thresholds != THRESHOLDS:
            return {}
        stages = msgspec.json.Decoder(EpisodeStage).decode_lines(rest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        stages, header = [], None
    if header is None or len(stages) != header.episodes or not all(s.stage in (None, *STAGES) for s in stages):
        raise ConfigError(f"{path}: is damaged; delete it, and simeval show {folder} --stages computes it again")
    return {stage.id: stage for stage in stages}


def current_stages(folder: Path, results: Iterable[EpisodeResult]) -> dict[str, EpisodeStage]:
    """The stored stages that belong to these rows, by episode.

    Args:
        folder: of the run.
        results: of all its episodes.

    Raises:
        ConfigError: see `read_stages`.
    """
    stored = read_stages(folder)
    if not stored:
        return {}
    results = list(results)
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
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(_Header(SCHEMA_VERSION, THRESHOLDS, len(listed))), *map(encoder.encode, listed)]
    try:
        replace_file(path, b"".join(line + b"\n" for line in lines))
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
