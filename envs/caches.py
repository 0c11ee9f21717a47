"""Where simeval keeps what can be made again."""

from pathlib import Path

import platformdirs


def cache_folder(name: str) -> Path:
    """A folder of the user's cache, which may not exist yet: on Linux below `XDG_CACHE_HOME` or `~/.cache`.

    Args:
        name: what is kept there.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path(platformdirs.user_cache_dir("simeval"), name).expanduser()
