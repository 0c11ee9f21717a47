"""Which share of pairs flips by chance: assumed, or that of an earlier run."""

from simeval.config.outlook import Background
from simeval.core.errors import ConfigError
from simeval.stats.power import BACKGROUND, LEAST_BACKGROUND, background_of


def background_like(folder: str | None) -> Background:
    """The share of a stored run, or the assumed one.

    Raises:
        ConfigError: the folder holds no run, or one without pairs.
    """
    if folder is None:
        return Background(BACKGROUND, "our choice; --like RUN takes that of an earlier run of the policy")
    from simeval.analysis.success import USED, drop_table  # not earlier: pandas and scipy take a second
    from simeval.store.run import Run

    run = Run.load(folder)
    rows = drop_table(run.table(USED))
    found = background_of(((row.harmed, row.helped, row.pairs) for row in rows), least=0.0)
    if found is None:
        raise ConfigError(f"--like {folder}: has no pair of a clean and a perturbed episode; name a run with --perturb")
    policy, pairs = run.manifest["identity"]["policy"]["name"], sum(row.pairs for row in rows)
    source = f"the median of {policy} in {run.folder} ({len(rows)} conditions, {pairs} pairs)"
    if found < LEAST_BACKGROUND:
        source = f"the least that is assumed; {100 * found:.0f} % is {source}"
    return Background(max(found, LEAST_BACKGROUND), source)
