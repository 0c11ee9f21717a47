"""The page of what was found inside policies, by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simeval.core import provenance
from simeval.probing.results import Representations
from simeval.report.blocks import ArtifactCollector
from simeval.report.data import ReportData
from simeval.report.export import record
from simeval.report.page import write_page
from simeval.report.representation.chapter import representation_chapters


def representation_record(found: Representations) -> dict[str, Any]:
    """All numbers, JSON-ready."""
    return {str(key): value for key, value in record(found).items()}


def write_representation_report(found: Representations, folder: Path, sheets: Sequence[Path]) -> Path:
    """Write the page into `report` below the folder.

    Raises:
        ConfigError: the folder cannot be written.
    """
    artifacts = ArtifactCollector()
    parts = list(representation_chapters(found, artifacts, sheets))
    data = ReportData(
        title=f"Inside {len(found.policies)} {'policy' if len(found.policies) == 1 else 'policies'}",
        sections=(),
        generated_by=f"simeval {provenance.version('simeval')}",
        rebuild="",
    )
    return write_page(data, parts, artifacts, {"summary.json": representation_record(found)}, folder / "report")
