"""Light models of LIBERO's scenes, so that its tasks run without LIBERO's 317 MB of meshes.

`generate` writes the folder `bundled` beside this file, in the layout of LIBERO's asset folder. Sizes, masses, joints
and regions follow LIBERO's models; looks are simplified. Numbers measured on these scenes are not LIBERO results.
"""

from pathlib import Path

BUNDLED = Path(__file__).parent / "bundled"
"""The generated asset folder."""

MARKER = "BUNDLED"
"""Name of the file that distinguishes such a folder from LIBERO's own."""


def is_bundled(folder: Path) -> bool:
    """Whether an asset folder contains simeval's models rather than LIBERO's."""
    return (folder / MARKER).is_file()
