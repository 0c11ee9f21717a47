"""What an asset folder may ask for: its own meshes and textures, and nothing else.

A folder of scenes may be a stranger's. MuJoCo reads whatever file a description names, takes in further descriptions,
and runs such of its plugins as they ask for; LIBERO's models need none of the latter two.

Non-obvious behaviour:
- LIBERO's own folder has unused descriptions that name files of their author's machine. Only what exists here counts.
- Links are followed: people put large folders elsewhere, and the hub's cache consists of them.
- Paths are relative to the description, whatever its compiler's `meshdir` says, as robosuite takes them.
"""

import os
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

from envs.goals import EnvError

_FOREIGN = ("include", "extension", "plugin", "model")
"""MJCF's elements that bring in more than a file of data. Source: MuJoCo, XML reference."""


@cache
def refuse_strays(folder: Path) -> None:
    """Look through all descriptions of an asset folder.

    Raises:
        EnvError: one cannot be read, names a file outside the folder, or asks for more than files.
    """
    root = os.path.normpath(folder)
    for path in sorted(folder.rglob("*.xml")):
        name = path.relative_to(folder)
        try:
            parts = list(ET.parse(path).iter())
        except (OSError, ET.ParseError, ValueError) as error:
            raise EnvError(f"--assets {folder}: {name} is not readable XML ({error})") from None
        for part in parts:
            # `<mujoco model="...">` is the name of a scene; `<model file="...">` is another scene.
            if part.tag in _FOREIGN:
                raise EnvError(f"--assets {folder}: {name} has a <{part.tag}>, and asset folders are data only")
            for value in (value for key, value in part.items() if key.startswith("file")):
                target = os.path.normpath(os.path.join(root, name.parent, value))  # noqa: PTH118  `..` goes as text
                if os.path.commonpath([root, target]) != root and os.path.lexists(target):
                    raise EnvError(f"--assets {folder}: {name} names {value[:300]}, a file outside the folder")
