"""Stored benchmarks."""

import json
from functools import cache

from documented import ROOT


@cache
def benchmark(name: str) -> dict[str, list[dict]]:
    """The rows of a stored benchmark, by the heading of their tables."""
    content = json.loads((ROOT / "results" / "benchmarks" / f"{name}.json").read_text())
    return {table["title"]: table["rows"] for table in content["tables"]}
