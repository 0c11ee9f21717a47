"""The scenes of a run: their folder on this machine, and their label in tables and reports."""

from pathlib import Path

from envs.assets import is_bundled
from envs.base import EnvError
from envs.libero import official
from envs.suites import find_suite
from simeval.config import paths
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.core import provenance
from simeval.core.errors import ConfigError
from simeval.store.run import Run


def find_assets(config: EvalConfig) -> Path | None:
    """LIBERO's asset folder, or `None` if the configuration has no suite that needs it.

    Raises:
        ConfigError: it cannot be found.
    """
    if not any(find_suite(suite).needs_assets for suite in config.suite):
        return None
    from envs.libero.files import resolve_assets

    try:
        return resolve_assets(config.assets_choice)
    except EnvError as error:
        raise ConfigError(str(error)) from None


def assets_of(run: Run) -> Path | None:
    """The asset folder that a run's scenes were built from, or `None` if it has no suite that needs it.

    Raises:
        ConfigError: it cannot be found, or the folder found holds other scenes.
    """
    assets = find_assets(from_mapping(paths.located(run.manifest)))
    if assets and provenance.folder_digest(assets) != run.manifest["identity"]["settings"]["assets"]:
        raise ConfigError(f"{run.folder}: was made with other scenes ({run.manifest['assets']}) than those in {assets}")
    return assets


def assets_label(config: EvalConfig, assets: Path | None) -> str:
    """Label of the scenes, for every table and report."""
    benchmarks = " and ".join(dict.fromkeys(filter(None, (find_suite(suite).benchmark for suite in config.suite))))
    if assets is None:
        return f"{benchmarks} scenes" if benchmarks else f"{', '.join(config.suite)} scenes: not LIBERO results"
    if is_bundled(assets):
        return f"bundled scenes ({provenance.folder_digest(assets)}), protocol {config.protocol}: not LIBERO results"
    contents = f"{provenance.folder_digest(assets)}, {official.comparison(assets)}"
    return f"{benchmarks} scenes, official assets ({contents}), protocol {config.protocol}"
