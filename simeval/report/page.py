"""The page and the files beside it. The same data give the same bytes; nothing is computed here.

Non-obvious behaviour:
- The page loads nothing from the network: style, figures, and small videos and images are embedded; larger ones are
  copied beside it.
- Everything that comes from data is escaped: an instruction may hold markup.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simeval.analysis.over_policies import PolicyMedians
from simeval.core.errors import ConfigError
from simeval.core.files import whole_file
from simeval.core.texts import escaped
from simeval.core.types import CLEAN
from simeval.report.blocks import ArtifactCollector, Block, Chapter, Media, Table, Text, columns, slug
from simeval.report.chapters.compare import comparison_chapter
from simeval.report.chapters.drift import drift_chapters
from simeval.report.chapters.run import provenance, success_chapters, success_figure, warnings_of
from simeval.report.chapters.stages import stages_chapter
from simeval.report.chapters.thresholds import thresholds_chapter
from simeval.report.chapters.worst import worst_chapter
from simeval.report.data import PictureLink, ReportData, Section, VideoLink
from simeval.report.export import comparison_record, correlation_record, csv_text, json_text, summary_record
from simeval.report.figures.style import MarkerStyle, family_styles
from simeval.report.format import NOTHING, headline, with_interval
from simeval.report.methods import methods
from simeval.report.terminal.thresholds import headline_of
from simeval.report.terminal.worst import headline_of as searched_conditions
from simeval.report.text import format_number, format_with_ci, verdict_sentence

EMBEDDED = 500_000
"""Largest size of an embedded video or image (bytes); base64 adds a third."""
EMBEDDED_IN_ALL = 8_000_000
FLIPS = 2
"""Videos of flips in the first chapter: what fits beside the figure. Our choice."""
TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}


def write_report(data: ReportData, out: Path) -> Path:
    """Write a report: `report.html`, `figures/`, `data/` and the JSON files.

    Args:
        data: content of the report.
        out: folder, created if missing; files of the same names are replaced.

    Returns:
        Path of the page.

    Raises:
        ConfigError: the folder cannot be written, or a video or image is missing.
    """
    artifacts = ArtifactCollector()
    parts = tuple(_parts(data, artifacts))
    return write_page(data, parts, artifacts, _records(data), out)


def write_page(
    data: ReportData,
    parts: Sequence[Chapter],
    artifacts: ArtifactCollector,
    records: Mapping[str, Any],
    out: Path,
) -> Path:
    """Write a page of chapters and the files that they refer to.

    Args:
        data: title and origin of the page.
        parts: its chapters.
        artifacts: files that these refer to.
        records: JSON files by name; `None` removes one of an earlier report.
        out: folder, created if missing.

    Raises:
        ConfigError: the folder cannot be written.
    """
    page = out / "report.html"
    try:
        for folder in (out, out / "figures", out / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        for drawing in artifacts.drawings:
            _write(out / "figures" / f"{drawing.name}.svg", drawing.svg)
            _write(out / "figures" / f"{drawing.name}.png", drawing.png)
        for name, values in artifacts.tables.items():
            _write(out / "data" / name, csv_text(values).encode())
        for name, file in artifacts.media.items():
            (out / name).parent.mkdir(exist_ok=True)
            _write(out / name, file.read_bytes())
        for name, content in records.items():
            # Files of an earlier report are not about these runs.
            (out / name).unlink(missing_ok=True) if content is None else _write(out / name, json_text(content).encode())
        _write(page, _html(data, parts).encode())
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror or error}") from None
    return page


def _records(data: ReportData) -> dict[str, Any]:
    studies = [(section.name, study) for section in data.sections for study in section.studies]
    return {
        "summary.json": summary_record(data),
        "compare.json": comparison_record(data.comparison) if data.comparison else None,
        "correlation.json": correlation_record(studies, data.medians) if studies else None,
    }


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(content)


def _parts(data: ReportData, artifacts: ArtifactCollector) -> Iterator[Chapter]:
    """The chapters in the order of the page."""
    embedded = _embedded(data)
    seen = _first_screen(data)
    yield Chapter("Result", (*_result(data, artifacts), *_look(seen, artifacts, embedded)), level=2)
    for index, section in enumerate(data.sections, 1):
        section_artifacts = artifacts.scoped(f"{index}-{section.name}") if len(data.sections) > 1 else artifacts
        yield from _section(section, section_artifacts, embedded, seen)
    if data.comparison is not None:
        yield comparison_chapter(data.comparison, artifacts)
    yield Chapter("Methods", methods(data), level=2)
    rebuild = [Text("This page is made from the stored rows alone: no simulator, no GPU, the same bytes every time.")]
    if data.rebuild:
        rebuild.append(Text(f"Rebuild: `{data.rebuild}`"))
    yield Chapter("How to rebuild", tuple(rebuild), level=2)


def _result(data: ReportData, artifacts: ArtifactCollector) -> Iterator[Block]:
    for section in data.sections:
        yield Text(_lead(section), "lead")
        yield Text(f"{section.assets[0].upper()}{section.assets[1:]}.", "note")
        if section.thresholds:
            yield Text(f"{headline_of(section.thresholds, section.name)}: {section.thresholds.line}.", "verdict")
        if section.worst:
            yield Text(f"{section.worst.text}.", "verdict")
        for study in section.studies:
            yield Text(verdict_sentence(study.suite, study.correlation), "verdict")
    if not data.sections and data.comparison is None:
        yield Text("There is nothing to report: no run was given.", "lead")
    if sum(max(1, len(section.studies)) for section in data.sections) > 1:
        yield _overview(data, artifacts)


def _lead(section: Section) -> str:
    """The result of a run in a sentence; of a search that has nothing but its search yet, how far it is."""
    if section.worst and not any(row.n for row in section.analysis.rates):
        return f"{searched_conditions(section.worst, section.name)}; not confirmed yet."
    return headline(section.name, section.analysis)


@dataclass(frozen=True, slots=True)
class _FirstScreen:
    """What the first chapter shows of the only run of a page; later chapters leave it out.

    Attributes:
        section: the run; `None` on a page of several runs, which has a table or a comparison instead.
        suite: the suite whose success is plotted; may be empty.
        videos: of flips.
    """

    section: Section | None = None
    suite: str = ""
    videos: tuple[VideoLink, ...] = ()


def _first_screen(data: ReportData) -> _FirstScreen:
    if len(data.sections) != 1:
        return _FirstScreen()
    (section,) = data.sections
    suite = section.suites[0] if section.suites and not section.is_search else ""
    return _FirstScreen(section, suite, tuple(video for video in section.videos if video.is_flip)[:FLIPS])


def _look(seen: _FirstScreen, artifacts: ArtifactCollector, embedded: Mapping[Path, str]) -> Iterator[Block]:
    """One figure, and videos of flips, or the command that makes them."""
    if seen.section is None:
        return
    if seen.suite:
        figure = success_figure(seen.section, seen.suite, _styles(seen.section), artifacts)
        if figure:
            yield figure
    yield from _media(seen.videos, artifacts, embedded)
    if not seen.videos and any(row.harmed or row.helped for row in seen.section.analysis.drops):
        yield Text("No video of a pair with two outcomes: `simeval video RUN --flips --compare` makes them.", "note")


def _overview(data: ReportData, artifacts: ArtifactCollector) -> Table:
    """One row per policy and suite; points of policies are never pooled."""
    rows = []
    for section in data.sections:
        for suite in section.suites:
            clean = next((r for r in section.analysis.rates if (r.suite, r.condition) == (suite, CLEAN)), None)
            study = next((study for study in section.studies if study.suite == suite), None)
            first = study.correlation.between[0].association if study else None
            rows.append(
                (
                    *(section.name, suite, with_interval(clean.rate, clean.interval) if clean else NOTHING),
                    format_with_ci(first.value, first.ci_conditions) if first else NOTHING,
                    *(
                        str(study.correlation.k) if study else NOTHING,
                        study.correlation.verdict.word if study else "no audit",
                    ),
                )
            )
    note = " ".join(_median(row) for row in data.medians)
    heads = ("policy", "suite", "clean success % [95 % CI]", "ρ drift, drop [95 % CI]", "K", "verdict")
    csv = artifacts.add_table("medians", data.medians)
    return Table("Policies and suites", columns(*heads, words=["suite", "verdict"]), tuple(rows), csv, note)


def _median(row: PolicyMedians) -> str:
    if row.rho is None:
        return f"No policy has a correlation on {row.suite}."
    without = f", {row.without} without" if row.without else ""
    spread = f"({format_number(row.low)} to {format_number(row.high)})"
    return f"Median of ρ over {row.policies} policies on {row.suite}{without}: {format_number(row.rho)} {spread}."


def _section(
    section: Section, artifacts: ArtifactCollector, embedded: Mapping[Path, str], seen: _FirstScreen
) -> Iterator[Chapter]:
    styles = _styles(section)
    blocks = (*provenance(section), *_media(_preview(section), artifacts, embedded))
    yield Chapter(section.name, blocks, level=2)
    if not section.analysis.rates and not section.worst:
        yield Chapter("Success", (Text("The run has no episodes yet, so there is nothing to tabulate.", "note"),))
    if section.thresholds:
        yield thresholds_chapter(section.thresholds, section.name, artifacts)
    if section.worst:
        yield worst_chapter(section.worst, section.name, artifacts)
    yield from success_chapters(section, styles, artifacts, shown=seen.suite)
    if section.stages:
        yield stages_chapter(section.stages, artifacts)
    yield Chapter("Remarks on the episodes", tuple(warnings_of(section, artifacts)))
    for study in section.studies:
        yield from drift_chapters(study, styles, artifacts)
    if not section.studies and not section.is_search:
        yield Chapter("Drift against drop", (Text(section.no_study, "note"),))
    if section.exclusions:
        rows = tuple((row.condition or NOTHING, row.suite, row.reason) for row in section.exclusions)
        heads = columns("condition", "suite", "reason", words=["suite", "reason"])
        yield Chapter(
            "Exclusions",
            (Table("Not in the numbers", heads, rows, artifacts.add_table("exclusions", section.exclusions)),),
        )
    videos = [video for video in section.videos if video not in seen.videos]
    media = (*_media(videos, artifacts, embedded), *_media(section.pictures, artifacts, embedded, folded=True))
    if media:
        yield Chapter("To look at", media)


def _preview(section: Section) -> list[PictureLink]:
    return [PictureLink("What the policy was shown", section.preview)] if section.preview else []


def _styles(section: Section) -> Mapping[str, MarkerStyle]:
    families = [condition.axis_family for condition in section.conditions]
    families += [point.axis_family for study in section.studies for point in study.correlation.points]
    return family_styles(families)


def _embedded(data: ReportData) -> Mapping[Path, str]:
    """Embedded files as data URLs: small ones, in the order of the page, up to `EMBEDDED_IN_ALL`."""
    chosen: dict[Path, str] = {}
    room = EMBEDDED_IN_ALL
    for section in data.sections:
        links: list[VideoLink | PictureLink] = [*_preview(section), *section.videos, *section.pictures]
        for file in (link.file for link in links):
            _check(file)
            size = file.stat().st_size
            if size <= min(EMBEDDED, room) and file not in chosen:
                room -= size
                content = base64.b64encode(file.read_bytes()).decode()
                chosen[file] = f"data:{TYPES[file.suffix.lower()]};base64,{content}"
    return chosen


def _check(file: Path) -> None:
    if file.suffix.lower() not in TYPES:
        raise ConfigError(f"{file}: not a video or image ({', '.join(TYPES)})")
    if not file.is_file():
        raise ConfigError(f"{file}: no such file")


def _media(
    links: Sequence[VideoLink | PictureLink],
    artifacts: ArtifactCollector,
    embedded: Mapping[Path, str],
    *,
    folded: bool = False,
) -> Iterator[Block]:
    for link in links:
        video = TYPES[link.file.suffix.lower()].startswith("video")
        source = embedded.get(link.file)
        if source is None:
            source = (
                f"media/{artifacts.prefix}{len(artifacts.media):02d}-{slug(link.file.stem)}{link.file.suffix.lower()}"
            )
            artifacts.media[source] = link.file
        yield Media(source, link.caption, video=video, link=not source.startswith("data:"), folded=folded)


def _plain(value: Any) -> Any:
    """Escape control characters in a template's value: terminal sequences and text direction marks."""
    # Markup is ours: figures, and parts that are escaped already.
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "\n".join(map(escaped, value.split("\n")))


def _parts_of_name(text: str) -> list[str]:
    """A name, parted where a line may break: after `:`, `+` and `_`. Each part is escaped where it is put out."""
    return re.split(r"(?<=[:+_])(?=.)", str(text), flags=re.DOTALL)


def _html(data: ReportData, parts: Sequence[Chapter]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("simeval.report", "templates"),
        autoescape=True,
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["parts"] = _parts_of_name
    chapters = [
        replace(part, anchor=f"c{index}", blocks=tuple(b.tidy() if isinstance(b, Table) else b for b in part.blocks))
        for index, part in enumerate(parts, 1)
    ]
    template: Any = environment.get_template("report.html.j2")
    return str(template.render(data=data, chapters=chapters))
