"""The content of a report. Everything in it was computed elsewhere; files are given by their paths."""

from dataclasses import dataclass
from pathlib import Path

from simeval.analysis.by_task import CellDrop
from simeval.analysis.compare import Comparison
from simeval.analysis.correlate import StudyResult
from simeval.analysis.over_policies import PolicyMedians
from simeval.analysis.stage_counts import StageCounts
from simeval.analysis.success import RunAnalysis
from simeval.analysis.thresholds import Thresholds
from simeval.analysis.worst import WorstFound
from simeval.stats.study import ConditionInfo

HOW_TO_CORRELATE = (
    "No drift audit belongs to this run, so nothing is said about drift against drop. "
    "`simeval audit RUN --out AUDIT` measures the drift; `simeval report RUN --audit AUDIT` ties it to the drops."
)


@dataclass(frozen=True, slots=True)
class VideoLink:
    """A video of an episode; a small one is embedded in the page, a larger one is copied beside it.

    Attributes:
        caption: text below it.
        file: the video.
        is_flip: whether it shows clean and perturbed twin side by side, of which one succeeded and one failed.
    """

    caption: str
    file: Path
    is_flip: bool = False


@dataclass(frozen=True, slots=True)
class PictureLink:
    """An image (PNG or JPEG); treated like a video."""

    caption: str
    file: Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """The original instruction of a task."""

    suite: str
    task: int
    text: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Something excluded from the numbers, and the reason; `condition` may be empty."""

    suite: str
    condition: str
    reason: str


@dataclass(frozen=True, slots=True)
class Section:
    """One policy on one or more suites.

    Attributes:
        name: of the policy.
        provenance: (label, value) of the policy, the plan and the software.
        analysis: all tables of the run.
        assets: description of the scenes, one line.
        conditions: axis family, severity and validity of perturbed conditions; a missing one is a family of its own.
        cells: drops by task and condition.
        instructions: of the tasks.
        studies: drift against drop, one per suite.
        no_study: text if there is none.
        exclusions: other exclusions; conditions excluded from a correlation are among its points.
        videos, pictures: media files; pictures are, for instance, attention maps.
        preview: an image of the policy's inputs.
        planned: number of planned episodes; `None` if unknown, or if a plan is never run to its end.
        ran: number of episodes with a row.
        cautions: how far the tables can be trusted, a sentence each.
        thresholds: the result of a search for thresholds; the other numbers are then about the clean arm alone.
        worst: the result of a search for a bad condition; the other numbers are then about its confirmation alone.
        stages: how far the failures got; `None` if that was not computed.
    """

    name: str
    provenance: tuple[tuple[str, str], ...]
    analysis: RunAnalysis
    assets: str
    conditions: tuple[ConditionInfo, ...] = ()
    cells: tuple[CellDrop, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    studies: tuple[StudyResult, ...] = ()
    no_study: str = HOW_TO_CORRELATE
    exclusions: tuple[Exclusion, ...] = ()
    videos: tuple[VideoLink, ...] = ()
    pictures: tuple[PictureLink, ...] = ()
    preview: Path | None = None
    planned: int | None = None
    ran: int = 0
    cautions: tuple[str, ...] = ()
    thresholds: Thresholds | None = None
    worst: WorstFound | None = None
    stages: StageCounts | None = None
    stages_problem: str = ""

    @property
    def is_search(self) -> bool:
        """Whether the episodes were chosen by outcomes."""
        return self.thresholds is not None or self.worst is not None

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites, in the order of the tables."""
        rated = tuple(dict.fromkeys(row.suite for row in self.analysis.rates))
        return rated or ((self.worst.suite,) if self.worst else ())


@dataclass(frozen=True, slots=True)
class ReportData:
    """A report.

    Attributes:
        title: heading of the page.
        sections: one per policy.
        comparison: of two runs; usually `None`.
        medians: the correlation over policies, if several were correlated on one suite.
        generated_by: program and version; no time, so that two builds are equal.
        rebuild: the command that rebuilds this report; may be empty.
    """

    title: str
    sections: tuple[Section, ...]
    comparison: Comparison | None = None
    medians: tuple[PolicyMedians, ...] = ()
    generated_by: str = "simeval"
    rebuild: str = ""
