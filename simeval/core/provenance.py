"""Provenance of the numbers: versions, code, machine, assets."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from envs import numerics
from simeval.core import kernels

PINNED = ("mujoco", "robosuite", "hf-libero", "numpy", "lerobot", "torch", "transformers")
"""Distributions whose version changes rows."""
LEROBOT_PLUGIN = "lerobot_policy_"
"""How the names of third-party packages of policies begin. Source: lerobot 0.6.1, `register_third_party_plugins`."""


def version(name: str) -> str | None:
    """Installed version of a distribution; `None` if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def lerobot_plugins() -> dict[str, str]:
    """Versions of the installed third-party packages of policies, by name; lerobot imports them by itself."""
    found = {one.metadata["Name"] or "": one.version for one in importlib.metadata.distributions()}
    return {name: found[name] for name in sorted(found) if name.startswith(LEROBOT_PLUGIN)}


def versions(*, learned_policy: bool) -> dict[str, str | None]:
    """Versions that the rows depend on; without a learned policy torch and lerobot do not matter."""
    names = PINNED if learned_policy else PINNED[:4]
    return {name: version(name) for name in names} | (lerobot_plugins() if learned_policy else {})


@cache
def folder_digest(folder: Path) -> str:
    """SHA-256 (16 hex digits) over names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        digest.update(hashlib.file_digest(path.open("rb"), "sha256").digest())
    return digest.hexdigest()[:16]


def git_commit() -> str | None:
    """Commit of the checkout this code runs from, with `+` if it has changes; outside a checkout that of the image."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("SIMEVAL_GIT_COMMIT")


def _git(root: Path, *words: str) -> str:
    if not (root / ".git").exists():
        raise OSError("not a checkout")
    return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()


def host() -> dict[str, Any]:
    """The properties of the machine that explain speed and rounding."""
    processor = {"cpu": numerics.processor_name(), "instructions": kernels.instructions(), "cpus": os.cpu_count()}
    return {"platform": platform.platform(), **processor, "python": platform.python_version()}


def gl_renderer() -> str:
    """OpenGL backend and renderer of this machine, for instance `egl: llvmpipe (LLVM 15.0.6, 256 bits)`.

    Raises:
        EnvError: OpenGL cannot render.
    """
    from envs.base import EnvError
    from envs.sim.opengl import check_drawing, quiet_destructors

    backend = check_drawing()
    try:
        import mujoco
        from OpenGL import GL

        quiet_destructors()
        context = mujoco.GLContext(16, 16)
        context.make_current()
        name = GL.glGetString(GL.GL_RENDERER)
        context.free()
    except Exception as error:  # noqa: BLE001  MuJoCo and PyOpenGL raise many types here
        reason = " ".join(str(error).split())[:200]
        raise EnvError(
            f"cannot render with MUJOCO_GL={backend}: {reason}; simeval doctor --only opengl says more"
        ) from None
    return f"{backend}: {name.decode()}" if name else backend


def digest(value: Any) -> str:
    """SHA-256 of a JSON-ready value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
