"""Presents results as page, terminal tables and files: plots, never computes."""

from simeval.report.format import headline
from simeval.report.terminal.tables import print_run, render_by_task, render_language, render_tables

__all__ = ["headline", "print_run", "render_by_task", "render_language", "render_tables"]
