"""Chapters of the report page."""
