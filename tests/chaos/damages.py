"""Random damage to one file of a folder."""

import shutil
from pathlib import Path
from random import Random

MOST = 64
"""Bytes that one damage overwrites, doubles or takes out at most."""

HOW = ("flip",) * 4 + ("overwrite", "zeros", "take out", "double", "cut", "empty", "delete", "folder")


def damage(folder: Path, random: Random) -> tuple[Path, str]:
    """Damage a file; returns which, relative to the folder, and how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # Files of one folder are alike: traces would take nearly all the damage.
    place = random.choice(sorted({path.parent for path in files}))
    path = random.choice([path for path in files if path.parent == place])
    how = random.choice(HOW)
    if how in ("delete", "folder"):
        path.unlink()
        if how == "folder":
            path.mkdir()
        elif random.random() < 0.2 and path.parent != folder:
            shutil.rmtree(path.parent)
            how = "delete its folder"
    else:
        path.write_bytes(damaged(path.read_bytes(), how, random))
    return path.relative_to(folder), how


def damaged(data: bytes, how: str, random: Random) -> bytes:
    """Bytes with a damage."""
    if not data or how == "empty":
        return b""
    start = random.randrange(len(data))
    end = min(len(data), start + random.randint(1, MOST))
    if how == "flip":
        changed = bytearray(data)
        for _ in range(random.choice((1, 1, 3))):
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(changed)
    middle = {
        "overwrite": random.randbytes(end - start),
        "zeros": bytes(end - start),
        "take out": b"",
        "double": data[start:end] * 2,
    }
    return data[:start] if how == "cut" else data[:start] + middle[how] + data[end:]
