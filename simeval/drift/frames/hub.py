"""Locates a dataset on disk or on the hub, and opens it without side effects.

Non-obvious behaviour:
- lerobot requests missing files of a folder from the hub; within `offline` it does not.
- The `datasets` library copies everything it reads into the user's cache, gigabytes for images; within
  `temporary_datasets_cache` into a folder that is removed again.
- A hub dataset is stored in lerobot's download cache.
"""

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.read import hub_or_cache, one_line

VERSION = "v3.0"
"""The one format that lerobot 0.6 reads."""

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def locate(name: str, revision: str | None) -> tuple[Path, str, str | None]:
    """Folder, name and commit (`None` for a folder); of a hub dataset only the description is downloaded.

    Raises:
        ConfigError: no such folder, and the hub does not have the dataset or cannot be reached.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if revision is not None:
            raise ConfigError(f"--revision {revision}: '{name}' is a folder, and only hub datasets have revisions")
        return folder.resolve(), folder.resolve().name, None
    if not _HUB_ID.fullmatch(name):
        raise ConfigError(f"dataset '{name}': no such folder (a hub id would be NAME/NAME)")
    from huggingface_hub.errors import RevisionNotFoundError

    candidates = [revision] if revision else [VERSION, "main"]
    failure = ConfigError(f"dataset '{name}': the hub has no revision {' or '.join(candidates)} of it")
    for candidate in candidates:
        try:
            snapshot = download(name, candidate, ["meta/*", "meta/**"])
        except RevisionNotFoundError:
            continue
        except ConfigError as error:  # without the hub, the other revision may be in the cache
            failure = error
            continue
        # A snapshot's folder has the name of its commit.
        return snapshot, name, snapshot.name
    raise failure


def download(name: str, revision: str, patterns: Sequence[str]) -> Path:
    """Download the matching files of a hub dataset that are not in the cache yet, and return its folder.

    Raises:
        ConfigError: the hub cannot be reached and the files are not in the cache, or the hub lacks the dataset.
        RevisionNotFoundError: the hub has no such revision.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RevisionNotFoundError,
    )
    from lerobot.utils.constants import HF_LEROBOT_HUB_CACHE

    try:
        with hub_or_cache():
            snapshot = snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                cache_dir=HF_LEROBOT_HUB_CACHE,
                allow_patterns=list(patterns),
                etag_timeout=5,
                # Otherwise the commit is listed on the hub even if it is in the cache.
                local_files_only=constants.HF_HUB_OFFLINE,
            )
    except RevisionNotFoundError:
        raise
    except LocalEntryNotFoundError as error:
        raise ConfigError(
            f"dataset '{name}': no such folder here, and the Hugging Face hub cannot be reached; "
            f"pass the folder of a downloaded LeRobotDataset ({VERSION})"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ConfigError(f"dataset '{name}': no such folder, and not on the hub: {one_line(error)}") from error
    return Path(snapshot)


@contextlib.contextmanager
def temporary_datasets_cache() -> Iterator[None]:
    """Let the `datasets` library use a temporary folder as its cache."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory(prefix="simeval-dataset-") as scratch, _quiet():
        datasets.config.HF_DATASETS_CACHE = Path(scratch)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bars and the logs of the `datasets` library, which raises whatever error it logs."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    shown, level = is_progress_bar_enabled(), logging.root.manager.disable
    disable_progress_bar()
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)
        if shown:
            enable_progress_bar()


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep lerobot from requesting missing files from the hub."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
