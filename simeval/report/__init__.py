"""What a reader sees: draws, never computes."""

from simeval.report.tables import print_run, render_by_task, render_language, render_tables
from simeval.report.words import headline

__all__ = ["headline", "print_run", "render_by_task", "render_language", "render_tables"]
