"""The episodes of a run as one flat table for other tools: a row per episode, with names and units of its own.

Non-obvious behaviour:
- The names are those of `Run.episodes`, so that every analysis of simeval also reads an exported table; only the
  measured effects are renamed, because they have units.
- A line of the run that is damaged is left out and named; whatever else is there is exported.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from envs.suites import is_suite, tasks
from perturbations.base import ALL, SpecError
from perturbations.spec import parse, parse_sweep
from simeval.analysis.pair_drift import AuditedDrift, FrameDrift, audited_drift
from simeval.core.errors import ConfigError, nearest
from simeval.core.files import open_regular
from simeval.core.types import CLEAN, Row
from simeval.stats.drift import PRIMARY
from simeval.store.dataframe import COLUMNS, to_dataframe
from simeval.store.run import EPISODES, Run
from simeval.store.stages import EpisodeStage, available_stages, stage_table

if TYPE_CHECKING:
    import pandas as pd

SELECTIONS = ("all", "successes", "failures")
WITH_UNITS = {
    "mean_abs": "image_change_levels",
    "psnr": "image_psnr_db",
    "scene_mean_abs": "scene_change_levels",
    "scene_psnr": "scene_psnr_db",
    "state": "state_change_std",
    "action": "action_change",
    "age_steps": "observation_age_steps",
    "moved_cm": "object_moved_cm",
    "joints_rad": "joints_moved_rad",
    "source": "instruction_source",
}
"""Columns of `Run.episodes` that are renamed."""
DRIFT = f"{PRIMARY}_mean"
"""Mean action drift of the episode's pair under its condition; empty without an audit in the run folder."""
AT_DIVERGENCE = "divergence_frame_step", f"divergence_{PRIMARY}"
"""Step of the last audited frame up to the divergence, and the drift there; empty where nothing was audited."""
_OUTCOMES = {"successes": "success", "failures": "failure"}


@dataclass(frozen=True, slots=True)
class Selected:
    """Which episodes are exported.

    Attributes:
        outcome: `all`, `successes` or `failures`.
        conditions: canonical texts; empty for all.
    """

    outcome: str = "all"
    conditions: tuple[str, ...] = ()

    @staticmethod
    def of(run: Run, outcome: str, conditions: Sequence[str]) -> "Selected":
        """Check a selection against a run.

        Raises:
            ConfigError: there is no such selection, or the run does not have the condition.
        """
        if outcome not in SELECTIONS:
            raise ConfigError(f"--only: no '{outcome}'{nearest(outcome, SELECTIONS)}")
        known = run.manifest["conditions"]
        named = tuple(name for text in conditions for name in _canonical(text))
        for name in named:
            if name not in known:
                raise ConfigError(f"--conditions: {run.folder} has no '{name}'{nearest(name, known)}")
        return Selected(outcome, named)

    def includes(self, condition: str, outcome: str) -> bool:
        """Whether an episode is selected."""
        return (not self.conditions or condition in self.conditions) and (
            self.outcome == "all" or outcome == _OUTCOMES[self.outcome]
        )


@dataclass(frozen=True)
class Table:
    """The exported rows.

    Attributes:
        rows: one per episode, in plan order.
        notes: what is missing, and why; one line each.
        damaged: number of lines of the run that could not be read.
    """

    rows: "pd.DataFrame"
    notes: tuple[str, ...]
    damaged: int = 0


def table(run: Run, selected: Selected | None = None) -> Table:
    """All that is there of a run's episodes.

    Args:
        run: finished or not.
        selected: which episodes; by default all.

    Raises:
        ConfigError: not one episode has run, or none is selected.
    """
    episodes, damaged, notes = _episodes(run)
    if episodes.empty:
        raise ConfigError(f"{run.folder}: no episode has run")
    notes += unfinished(run, episodes)
    clean = episodes[episodes["condition"] == CLEAN]
    digests = dict(zip(clean["pair_id"], clean["state_digest"], strict=True))
    drift = audited_drift(run, digests)
    stages, problem = available_stages(run.folder)
    notes += [f"no drift: {drift.note}"] if drift.note and not drift.pairs else []
    notes += [problem] if problem else []
    rows = _with_stages(_flat(run, episodes, drift), stages, digests, drift)
    chosen = selected or Selected()
    pairs = zip(rows["condition"].astype(str), rows["outcome"].astype(str), strict=True)
    rows = rows[[chosen.includes(condition, outcome) for condition, outcome in pairs]].reset_index(drop=True)
    if rows.empty:
        raise ConfigError(f"{run.folder}: no episode is selected (--only {chosen.outcome})")
    return Table(rows, tuple(notes), damaged)


def unfinished(run: Run, episodes: "pd.DataFrame") -> list[str]:
    """The one line of a run that has not come to its end; else nothing."""
    from simeval.analysis.sequential import sequential  # not earlier: SciPy takes a second

    followed, planned = sequential(run.manifest, episodes), run.manifest["episodes"]
    if followed and followed.needed:
        return [f"the run is unfinished: not every condition is decided after {len(episodes)} episodes"]
    if not followed and len(episodes) < planned:
        return [f"the run is unfinished: {len(episodes)} of {planned} episodes are there"]
    return []


def _canonical(text: str) -> tuple[str, ...]:
    """The conditions of a sweep, as `--perturb` reads it."""
    try:
        return tuple(map(str, parse_sweep(text)))
    except SpecError:  # an axis of a plugin
        return (text,)


def _episodes(run: Run) -> "tuple[pd.DataFrame, int, list[str]]":
    try:
        return run.episodes, 0, []
    except ConfigError as error:
        blocks, numbers = [], list[int]()
        for number, row in _intact(run.folder / EPISODES):
            if row is None:
                numbers.append(number)
            else:
                blocks.append(row)
        if not numbers:  # every line can be read, so the complaint is about something else
            raise
        suites, conditions = run.manifest["config"]["suite"], run.manifest["conditions"]
        note = f"{len(numbers)} damaged lines are left out ({error})"
        return to_dataframe([blocks], suites=suites, conditions=conditions), len(numbers), [note]


def _intact(path: Path) -> Iterator[tuple[int, Row | None]]:
    """Number and row of each line; `None` for a damaged one."""
    decoder = msgspec.json.Decoder(Row)
    with open_regular(path) as file:
        for number, line in enumerate(file, 1):
            row = None
            if b'"crc":"' not in line or zlib.crc32(line) == 0:
                try:
                    row = decoder.decode(line)
                    row = row if row.id == row.spec.id else None
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    row = None
            if row is not None or line.endswith(b"\n"):  # a torn last line is no damage
                yield number, row


def _flat(run: Run, episodes: "pd.DataFrame", drift: AuditedDrift) -> "pd.DataFrame":
    import pandas as pd

    from simeval.analysis.sequential import sequential  # not earlier: SciPy takes a second

    followed = sequential(run.manifest, episodes)
    conditions = {name: _parts(name) for name in run.manifest["conditions"]}
    names = {
        (suite, task): tasks(suite)[task].instruction if is_suite(suite) else None
        for suite, task in {(str(s), int(t)) for s, t in zip(episodes["suite"], episodes["task"], strict=True)}
    }
    condition = episodes["condition"].astype(str)
    task = [names[str(suite), int(number)] for suite, number in zip(episodes["suite"], episodes["task"], strict=True)]
    success = episodes["outcome"].map({"success": True, "failure": False}).astype("boolean")
    keys = zip(episodes["pair_id"].astype(str), condition, strict=True)
    added: dict[str, Any] = {
        "policy": pd.Series([run.manifest["identity"]["policy"]["name"]] * len(episodes), dtype="str"),
        "task_name": pd.Series(task, dtype="str"),
        **{
            part: pd.Series([conditions[name][part] for name in condition], dtype=kind)
            for part, kind in (("axis", "str"), ("strength", float), ("word", "str"), ("camera", "str"))
        },
        "success": success,
        "counted": episodes.index.isin(followed.counted.index) if followed else True,
        DRIFT: pd.Series([drift.pairs[key].mean if key in drift.pairs else None for key in keys], dtype=float),
    }
    added |= {name: episodes[name].astype("Int64") for name in ("first_success", "first_hit")}
    rows = episodes.assign(**added)[list(_order())].rename(columns=WITH_UNITS)
    unknown = run.manifest.get("imported", {}).get("unknown", ())
    return rows.drop(columns=[name for name in rows.columns if name in unknown])


def _with_stages(
    rows: "pd.DataFrame", stages: Mapping[str, EpisodeStage], twins: Mapping[str, str], drift: AuditedDrift
) -> "pd.DataFrame":
    """The rows with the columns of their stages, if these were computed, and the drift at their divergence."""
    import pandas as pd

    if not stages or "state_digest" not in rows:
        return rows
    found, frames = list[EpisodeStage](), list[FrameDrift | None]()
    keys = zip(rows["id"], rows["pair_id"], rows["condition"].astype(str), rows["state_digest"], strict=True)
    for id_, pair, condition, digest in keys:
        stage = stages.get(id_)
        if stage and (stage.digest, stage.twin) == (digest, "" if condition == CLEAN else twins.get(pair, "")):
            found.append(stage)
            frames.append(drift.at(pair, condition, stage.divergence_step))
    if not found:
        return rows
    table = stage_table(found)
    added = {
        AT_DIVERGENCE[0]: [None if frame is None else frame.step for frame in frames],
        AT_DIVERGENCE[1]: [None if frame is None else frame.drift for frame in frames],
    }
    return rows.merge(table.assign(**{k: pd.Series(v, dtype=float) for k, v in added.items()}), "left", on="id")


def _order() -> Iterator[str]:
    """All columns: each added one behind the one that it explains."""
    behind: dict[str, tuple[str, ...]] = {
        "suite": ("policy",),
        "task": ("task_name",),
        "outcome": ("success", "counted"),
    }
    behind["condition"] = ("axis", "strength", "word", "camera")
    for name in COLUMNS:
        yield name
        yield from behind.get(name, ())
    yield DRIFT


def _parts(condition: str) -> dict[str, Any]:
    """Axis, strength, word and camera of a condition; a combination has only its axes."""
    empty: dict[str, Any] = {"axis": None, "strength": None, "word": None, "camera": None}
    if condition == CLEAN:
        return empty
    try:
        parsed = parse(condition)
    except SpecError:  # an axis of a plugin that is not loaded
        return empty | {"axis": condition.partition(":")[0]}
    parts = empty | {"axis": "+".join(parsed.axes)}
    if len(parsed.terms) == 1:
        (term,) = parsed.terms
        value: dict[str, Any] = {"word": term.value} if isinstance(term.value, str) else {"strength": float(term.value)}
        parts |= {**value, "camera": None if not term.cameras else term.camera if term.camera != ALL else "all"}
    return parts


def write_csv(rows: "pd.DataFrame", path: Path) -> None:
    """Write the rows as CSV, UTF-8; empty cells are missing values."""
    rows.to_csv(path, index=False, lineterminator="\n")


def write_parquet(rows: "pd.DataFrame", path: Path, about: dict[str, Any]) -> None:
    """Write the rows as Parquet with their types; `about` becomes the file's metadata `simeval`, as JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    built = pa.Table.from_pandas(rows, preserve_index=False)
    metadata = {**(built.schema.metadata or {}), b"simeval": json.dumps(about).encode()}
    pq.write_table(built.replace_schema_metadata(metadata), path)
