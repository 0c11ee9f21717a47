"""Reading files that a user names without blocking, and writing files completely or not at all.

Non-obvious behaviour:
- Opening a FIFO blocks until a process writes to it, and a device may have no end; only regular files are accepted.
- A file that was renamed into place survives a power cut only if its folder was synced as well.
"""

import contextlib
import errno
import glob
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from simeval.core.errors import ConfigError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or of somebody's share of one, that is full."""


@contextlib.contextmanager
def named_failures(path: Path) -> Iterator[None]:
    """Give an `OSError` the path that it is about: writing to an open file, and syncing it, raise it without one.

    Raises:
        OSError: as inside, with a file name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def failure_line(error: OSError) -> str:
    """What failed and where; of a full disk also how much is free in which folder."""
    text = str(error.strerror or error)
    if not isinstance(error.filename, str):
        return text
    if error.errno not in FULL:
        return f"{error.filename}: {text}"
    with contextlib.suppress(OSError):
        folder = next(
            path for path in (Path(error.filename), *Path(error.filename).absolute().parents) if path.is_dir()
        )
        return f"{error.filename}: {text} ({shutil.disk_usage(folder).free / 1e6:.1f} MB free in {folder})"
    return f"{error.filename}: {text}"


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    require_regular(path, descriptor)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        ConfigError: it is a FIFO, a device, or something else without an end.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def is_file(path: str | Path) -> bool:
    """Whether there is a regular file; false for a name that cannot be one, with which `Path.is_file` raises."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder; false for a name that cannot be one, with which `Path.is_dir` raises."""
    return os.path.isdir(path)  # noqa: PTH112


def require_regular(path: Path, descriptor: int) -> None:
    """Check that an open file is a regular one; closes it if it is not.

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
    """Write a file, complete or not at all, also after a power cut; partial files of earlier writers are removed.

    Raises:
        OSError: it cannot be written; no partial file is left.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        for stale in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
            if not is_running(stale.suffixes[-2].removeprefix(".")):  # else that process could not rename it
                stale.unlink(missing_ok=True)
        with named_failures(path), partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def is_running(process: str) -> bool:
    """Whether a process of this machine runs; false for what is no number."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:  # another user's
        return True
    return True


def sync(paths: Iterable[Path], *, up_to: Path) -> None:
    """Sync files to the disk, and the folders above them.

    Args:
        paths: the files.
        up_to: a folder above all of them, the last one to be synced; it is on the disk already, its entries may not be.

    Raises:
        OSError: they could not be synced.
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
    """Sync a folder's entries to the disk.

    Raises:
        OSError: they could not be synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync folders
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write a file to; the file gets its final name when the body ends without an error.

    Args:
        path: final path; a file or link of that name is replaced.

    Yields:
        A path beside it with the same extension. It is removed afterwards in any case.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    partial = path.with_name(f".{path.stem[:60]}.{os.getpid()}.part{path.suffix}")
    try:
        partial.unlink(missing_ok=True)  # a link of that name would be written through
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_image(path: Path, image: object, extension: str = ".png") -> None:
    """Write an image file.

    Args:
        path: the file.
        image: `uint8[H, W, 3]`, RGB.
        extension: sets the file format, whatever extension the path has.

    Raises:
        OSError: it cannot be written; no file is left.
    """
    import imageio.v3 as imageio

    data = imageio.imwrite("<bytes>", image, extension=extension)
    with whole_file(path) as partial:
        partial.write_bytes(data)


def require_inside(folder: Path, name: str) -> None:
    """Check that neither a subfolder of a run folder nor a folder in it is a link to a place outside the run folder.

    Run folders are passed on to other people, and a link in one could point at any folder of the recipient.

    Args:
        folder: the run folder.
        name: name of the subfolder, for instance `videos`; one of few entries, since all are looked at.

    Raises:
        ConfigError: one is such a link.
    """
    require_no_way_out(folder, folder / name)
    for path, folders, _ in os.walk(folder / name):
        for inner in folders:
            require_no_way_out(folder, Path(path, inner))


def require_no_way_out(folder: Path, subfolder: Path) -> None:
    """Check that a subfolder, at any depth, is really inside a run folder; see `require_inside`.

    Args:
        folder: the run folder.
        subfolder: its path, which need not exist.

    Raises:
        ConfigError: it is a link out of the run folder or in a circle, or below one.
    """
    target = link_target(subfolder)
    if target.is_symlink():
        raise ConfigError(f"{subfolder}: is a link in a circle; remove it")
    if not target.is_relative_to(link_target(folder)):
        raise ConfigError(f"{subfolder}: is a link out of the run folder, to {target}; remove it to have one here")


def link_target(path: Path) -> Path:
    """Where a path leads through all links; a link in a circle leads to a link, where `Path.resolve` would raise."""
    return Path(os.path.realpath(path))
