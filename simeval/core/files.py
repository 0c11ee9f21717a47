"""Files that people name, opened without waiting, and files of ours, there whole or not at all.

Non-obvious behaviour:
- To open a FIFO waits for somebody to write to it, and a device may have no end; what is no regular file is refused.
- A file that was renamed into place is safe from a power cut only when its folder is on the disk as well.
"""

import contextlib
import errno
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from simeval.core.errors import ConfigError


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    refuse_irregular(path, descriptor)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """All of a file.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def refuse_irregular(path: Path, descriptor: int) -> None:
    """Close an open file again if it is no regular one.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        IsADirectoryError: it is a folder.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise ConfigError(f"{path}: not a regular file")


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, complete or not at all, also after a power cut; what an earlier writer left half is removed.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        for stale in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
            stale.unlink(missing_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync(paths: Iterable[Path], *, up_to: Path) -> None:
    """Have files on the disk, and the folders that they are in.

    Args:
        paths: the files.
        up_to: a folder above all of them that is on the disk already, and its own entries are not to be forgotten.

    Raises:
        OSError: they could not be written.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = path.parent
        while folder not in folders:
            folders[folder] = None
            if folder in (up_to, folder.parent):
                break
            folder = folder.parent
    for folder in folders:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have a folder's entries on the disk.

    Raises:
        OSError: they could not be written.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that know no folders to sync
            raise
    finally:
        os.close(descriptor)


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
