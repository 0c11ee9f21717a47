"""From runs and audits to the content of a report: everything is computed here, before it is plotted.

No simulator, no policy, no GPU: a report is built from the run folders alone, and is reproducible.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.suites import tasks
from simeval.analysis.by_task import cell_drops
from simeval.analysis.compare import compare
from simeval.analysis.correlate import correlate, refuse_other_policy
from simeval.analysis.join import study_conditions
from simeval.analysis.over_policies import policy_medians
from simeval.analysis.pair_drift import AUDIT, audited_drift
from simeval.analysis.sequential import sequential
from simeval.analysis.stage_counts import StageCounts, count_stages
from simeval.analysis.success import analyse
from simeval.analysis.thresholds import thresholds
from simeval.analysis.worst import confirmation, worst
from simeval.config.layout import is_search
from simeval.core import kernels, provenance
from simeval.core.errors import ConfigError
from simeval.core.files import require_no_way_out
from simeval.core.types import CLEAN
from simeval.report.cautions import cautions, unfinished
from simeval.report.data import Exclusion, Instruction, PictureLink, ReportData, Section, VideoLink
from simeval.stats.correlation import Options
from simeval.store.audit import MANIFEST, Audit, same_policy
from simeval.store.run import Run, require_own
from simeval.store.stages import EpisodeStage, available_stages, current_stages, twin_digests


def report_data(runs: Sequence[Run], audits: Sequence[Audit] = (), options: Options | None = None) -> ReportData:
    """The content of a report: one section per run, and a comparison if there are two.

    Args:
        runs: one per policy.
        audits: each of the policy of one of the runs; without any, the audits inside the run folders are used.
        options: settings of the random statistics.

    Raises:
        ConfigError: an audit is of none of the policies, or two are of the same; a run was imported.
    """
    for run in runs:
        require_own(run.folder, run.manifest)
    for audit in audits:
        if not any(same_policy(run, audit) for run in runs):
            refuse_other_policy(runs[0], audit)
    run_audits = [_audit_of(run, audits) for run in runs]
    sections = tuple(_section(run, audit, options) for run, audit in zip(runs, run_audits, strict=True))
    studies = [(result.suite, result.correlation) for section in sections for result in section.studies]
    comparison = None
    if len(runs) == 2 and not any(section.is_search for section in sections):
        first, second = run_audits
        drift = (first.rows, second.rows) if first and second else None
        comparison = compare(runs[0], runs[1], drift, options.resampling if options else None)
    names = " against ".join(dict.fromkeys(section.name for section in sections))
    folders = " ".join(str(run.folder) for run in runs)
    chosen = "".join(f" --audit {audit.folder}" for audit in audits)
    return ReportData(
        title=f"{names} on {', '.join(dict.fromkeys(suite for section in sections for suite in section.suites))}",
        sections=sections,
        comparison=comparison,
        medians=policy_medians(studies),
        generated_by=f"simeval {provenance.version('simeval')}",
        rebuild=f"simeval report {folders}{chosen}",
    )


def _audit_of(run: Run, audits: Sequence[Audit]) -> Audit | None:
    matching = [audit for audit in audits if same_policy(run, audit)]
    if len(matching) > 1:
        raise ConfigError(
            f"--audit: {matching[0].folder} and {matching[1].folder} are both of the policy of {run.folder}"
        )
    if not audits and (run.folder / AUDIT / MANIFEST).exists():
        return Audit.load(run.folder / AUDIT)
    return matching[0] if matching else None


def _section(run: Run, audit: Audit | None, options: Options | None) -> Section:
    manifest, episodes = run.manifest, run.episodes
    followed, searched = sequential(manifest, episodes), thresholds(manifest, episodes)
    if searched:  # strengths that were chosen by their outcomes have no rates and drops of their own
        episodes = episodes[episodes["condition"] == CLEAN]
    found = worst(manifest, episodes)
    if found:
        episodes = confirmation(manifest, episodes)
    is_placed = is_search(manifest)
    stages, problem = available_stages(run.folder)
    planned = None if is_placed else int(manifest["episodes"])
    conditions = [str(name) for name in episodes["condition"].cat.categories if name != CLEAN]
    return Section(
        name=str(manifest["identity"]["policy"]["name"]),
        provenance=_provenance(run, audit),
        analysis=analyse(episodes, sequential=followed),
        assets=str(manifest["assets"]),
        conditions=study_conditions(conditions),
        cells=cell_drops(followed.counted if followed else episodes),
        instructions=_instructions(run),
        studies=correlate(run, audit, options) if audit and not is_placed else (),
        exclusions=_exclusions(run, audit),
        videos=_videos(run),
        pictures=_pictures(audit),
        preview=next((path for path in (run.folder / "preview.png",) if path.exists()), None),
        planned=planned,
        ran=len(run.results),
        cautions=(*unfinished(planned, len(run.results), followed), *cautions(run, episodes), *_incomplete(problem)),
        thresholds=searched,
        worst=found,
        stages=_stages(run, stages, audit),
        stages_problem=problem,
    )


def _incomplete(problem: str) -> tuple[str, ...]:
    return (f"how far failures got is not complete: {problem}",) if problem else ()


def _stages(run: Run, stored: Mapping[str, EpisodeStage], audit: Audit | None) -> StageCounts | None:
    """How far the failures got, as far as it is stored: to compute it takes the scenes."""
    if not (stages := current_stages(stored, run.results)):
        return None
    drift = audited_drift(run, twin_digests(run.results), audit.folder) if audit else None
    return count_stages(run.results, stages, drift)


def _provenance(run: Run, audit: Audit | None) -> tuple[tuple[str, str], ...]:
    """Policy, plan and software of a run, as (label, value)."""
    manifest, identity = run.manifest, run.manifest["identity"]
    policy, settings = identity["policy"], identity["settings"]
    facts: dict[str, Any] = {
        "policy": policy["name"],
        "weights (SHA-256)": policy.get("sha256"),
        "type": policy.get("type"),
        "actions executed per chunk": policy["n_action_steps"],
        "chunk": policy.get("chunk_size"),
        "sampling noise": policy.get("noise"),
        "device": policy.get("device"),
        "suites": ", ".join(manifest["config"]["suite"]),
        "protocol": settings["protocol"],
        "seed": settings["seed"],
        "episodes": f"{len(run.results)} placed"
        if is_search(manifest)
        else f"{len(run.results)} of {manifest['episodes']}",
        "grown from": " -> ".join(str(step["episodes"]) for step in manifest.get("grown", [])) or None,
        "plan (SHA-256)": identity["plan"][:16],
        "started": manifest["created"],
        "code": manifest["git"],
        "OpenGL": identity["opengl"],
        "processor": manifest["host"].get("cpu"),
        "numerics": kernels.describe(identity),
        **identity["versions"],
    }
    if audit:
        facts |= {"audit": audit.frames_description, "unit of drift": audit.sigma_source}
    return tuple((label, str(value)) for label, value in facts.items() if value is not None)


def _instructions(run: Run) -> tuple[Instruction, ...]:
    used = dict.fromkeys((result.spec.suite, result.spec.task) for result in run.results)
    # The package of a suite may not be installed where the report is written.
    played = {(r.spec.suite, r.spec.task): r.instruction or "" for r in run.results if r.source == "original"}
    return tuple(
        Instruction(suite, task, played.get((suite, task), ""))
        if suite in run.absent_suites
        else Instruction(suite, task, tasks(suite)[task].instruction)
        for suite, task in used
    )


def _exclusions(run: Run, audit: Audit | None) -> tuple[Exclusion, ...]:
    notes = [Exclusion("", "", str(note)) for note in run.manifest["notes"]]
    left_out = [Exclusion("", item.condition, item.reason) for item in audit.left_out] if audit else []
    if audit and (note := kernels.audit_note(run.manifest["identity"], audit.manifest["identity"])):
        notes.append(Exclusion("", "", note))
    return (*notes, *left_out)


def _videos(run: Run) -> tuple[VideoLink, ...]:
    """The videos made by `simeval video`, in plan order; those with the clean twin first."""
    clean = {result.spec.pair_id: result.outcome for result in run.results if result.spec.condition == CLEAN}
    links = []
    for suffix, text in (("_compare", ", clean beside perturbed"), ("", "")):
        for result in run.results:
            path = run.folder / "videos" / f"{result.spec.id.replace('/', '_')}{suffix}.mp4"
            if path.exists():
                require_no_way_out(run.folder, path)  # the page may be passed on, with this file in it
                outcomes = {clean.get(result.spec.pair_id), result.outcome}
                flip = bool(suffix) and outcomes == {"success", "failure"}
                links.append(VideoLink(f"{result.spec.id}: {result.outcome}{text}", path, flip))
    return tuple(links)


def _pictures(audit: Audit | None) -> tuple[PictureLink, ...]:
    """Attention maps of the audit."""
    if audit is None:
        return ()
    maps = sorted((audit.folder / "attention").glob("*.png"))
    for path in maps:
        require_no_way_out(audit.folder, path)
    return tuple(PictureLink(path.stem.replace("_", " "), Path(path)) for path in maps)
