"""An audit in a run's folder whose numbers were made by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simeval.core.checksums import sealed_line
from simeval.store.audit import frames_digest
from simeval.store.run import Run
from simeval.store.stages import twin_digests

Measured = tuple[str, str, int, int, float | None]
"""Pair, condition, step of the frame, seed, drift."""


def write_audit(
    run: Run, measured: Sequence[Measured], *, kind: str = "replay", complete: bool = True, **identity: Any
) -> Path:
    """Write `RUN/audit` as simeval does; `identity` replaces parts of its identity."""
    folder, digests = run.folder / "audit", twin_digests(run.results)
    folder.mkdir(exist_ok=True)
    frames = dict.fromkeys((f"{pair}@{step}", pair) for pair, _, step, _, _ in measured)
    plan = run.manifest["identity"]["plan"]
    sha = frames_digest((frame, digests.get(pair, "")) for frame, pair in frames)
    about = {
        "frames": {"source": "run", "kind": kind, "plan": plan, "sha256": sha},
        "policy": run.manifest["identity"]["policy"],
        "conditions": sorted({condition for _, condition, *_ in measured}),
        "seeds": sorted({seed for *_, seed, _ in measured}),
    }
    manifest = {
        "schema_version": 1, "frames": len(frames), "rows": len(measured), "identity": about | identity,
        "sigma_source": "made by hand", "left_out": [], "notes": [], "complete": complete,
    }  # fmt: skip
    (folder / "audit.json").write_text(json.dumps(manifest))
    (folder / "drift.jsonl").write_bytes(b"".join(sealed_line(_row(*one, kind)) for one in measured))
    return folder


def _row(pair: str, condition: str, step: int, seed: int, drift: float | None, kind: str) -> dict[str, Any]:
    same = dict.fromkeys(("drift_exec", "drift_first", "drift_chunk", "l2_raw", "xyz_sum", "gripper_flip"), drift)
    suite, task, *_ = pair.split("/")
    return {
        "frame": f"{pair}@{step}", "source": kind, "cluster": pair.rpartition("/")[0], "step": step, "suite": suite,
        "task": int(task), "pair_id": pair, "condition": condition, "seed": seed, **same, "mean_abs": 1.0,
        "psnr": 30.0, "instruction": "x", "infeasible": "" if drift is not None else "nothing is there",
    }  # fmt: skip
