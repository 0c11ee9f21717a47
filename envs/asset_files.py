"""Safety check of asset folders: they may refer to their own meshes and textures, and to nothing else.

Asset folders may come from untrusted sources. MuJoCo reads every file that an MJCF description names, includes further
descriptions, and loads the plugins that they request. LIBERO's models need neither includes nor plugins.

Non-obvious behaviour:
- LIBERO's own folder has unused descriptions that name files of their author's machine. Paths that do not exist on this
  machine are therefore ignored.
- Symbolic links are followed: users keep large folders elsewhere, and the hub's cache consists of links.
- Paths are resolved relative to the description, whatever its compiler's `meshdir` says; robosuite does the same.
"""

import os
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

from envs.goals import EnvError

_FOREIGN = ("include", "extension", "plugin", "model")
"""MJCF elements that load more than a data file. Source: MuJoCo, XML reference."""


@cache
def refuse_strays(folder: Path) -> None:
    """Check all MJCF descriptions of an asset folder.

    Raises:
        EnvError: one cannot be read, names a file outside the folder, or loads more than data files.
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
