"""What `simeval threshold --help` says; apart, because the rest of the search loads NumPy."""

LEVEL, WIDTH, PER_AXIS = 0.5, 0.15, 100
NOT_USED = ("until", "margin", "max_pairs")
"""Options of a run that mean nothing to a search: it stops by the width of its intervals."""
