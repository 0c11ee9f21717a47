"""How a verb that rolled out episodes ends if some of them did not run to their end."""

import sys
from typing import TYPE_CHECKING

import typer

from simeval.core.texts import shown

if TYPE_CHECKING:
    from simeval.store.run import Run


def report_errors(done: "Run") -> None:
    """Print a line on standard error and exit with code 1 unless every episode that is needed ran to its end."""
    from simeval.analysis.sequential import sequential  # not earlier: pandas and SciPy take a second
    from simeval.config.layout import is_search
    from simeval.store.run import outcomes

    by_id = outcomes(done.folder)
    missing = 0 if is_search(done.manifest) else done.manifest["episodes"] - len(by_id)
    broken = done.episodes[done.episodes["outcome"] == "error"] if "error" in by_id.values() else None
    if done.manifest["config"].get("until") and (missing or broken is not None):
        followed = sequential(done.manifest, done.episodes)
        if followed:
            missing, broken = followed.needed, followed.broken
    if missing > 0:
        sys.stderr.write(f"simeval: {missing} of {done.manifest['episodes']} episodes have not run\n")
    if broken is not None and len(broken):
        first = broken.iloc[0]
        sys.stderr.write(
            f"simeval: {len(broken)} of {len(done.episodes)} episodes broke, the first ({first['id']}) in its "
            f"{first['error_phase']} phase: {shown(first['error_text'], 300)}; the same command tries them again\n"
        )
    if missing > 0 or (broken is not None and len(broken)):
        raise typer.Exit(1)
