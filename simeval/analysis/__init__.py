"""Rows to tables: success, drops, language following, flags, comparisons, drift against drops."""
