"""Files that are there whole or not at all, and folders that are where they seem to be."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from simeval.errors import ConfigError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes its final one when the body has ended without an error.

    Args:
        path: of the file; what has that name is replaced, a link too.

    Yields:
        A path beside it with the same extension. It is gone afterwards, whatever happened.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    partial = path.with_name(f".{path.stem[:60]}.{os.getpid()}.part{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_image(path: Path, picture: object, extension: str = ".png") -> None:
    """Write an image file.

    Args:
        path: where to.
        picture: `uint8[H, W, 3]`, RGB.
        extension: which kind of file, whatever extension the path has.

    Raises:
        OSError: it cannot be written; no file is left.
    """
    import imageio.v3 as imageio

    data = imageio.imwrite("<bytes>", picture, extension=extension)
    with whole_file(path) as partial:
        partial.write_bytes(data)


def refuse_link_out(folder: Path, name: str) -> None:
    """Refuse to write into a part of a run folder that is a link to somewhere else.

    Run folders are handed on, and a link in one could name any folder of whoever opens it.

    Args:
        folder: the run folder.
        name: of the part, for instance `videos`.

    Raises:
        ConfigError: it is such a link.
    """
    part = folder / name
    if part.is_symlink() and not part.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{part}: is a link out of the run folder, to {part.resolve()}; remove it to have one here")
