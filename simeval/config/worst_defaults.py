"""What `simeval worst --help` says; apart, because the rest of the search loads NumPy."""

BUDGET, CONFIRM, COMBINE = 400, 50, 2
NOT_USED = ("until", "margin", "max_pairs")
"""Options of a run that mean nothing to a search: it stops by its budget."""
