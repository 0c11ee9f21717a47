"""simeval: how robust is a Vision-Language-Action policy, and could offline action drift have told you?

    from simeval import EvalConfig, evaluate

    run = evaluate(EvalConfig(suite=("toy",), perturb=("noise:0.1,0.3",), workers=2))
    print(run.episodes.groupby("condition")["outcome"].value_counts())

Names are loaded when they are first used: importing this package is free.
"""

import importlib
from typing import TYPE_CHECKING, Any

from simeval import neighbours

if TYPE_CHECKING:
    from simeval.api import evaluate
    from simeval.audit.folder import Audit
    from simeval.comparison import compare
    from simeval.config import EvalConfig
    from simeval.errors import ConfigError, EpisodeError
    from simeval.findings import correlate
    from simeval.plan import Plan, make_plan
    from simeval.store import Run
    from simeval.types import EpisodeResult, EpisodeSpec

__all__ = [
    "Audit",
    "ConfigError",
    "EpisodeError",
    "EpisodeResult",
    "EpisodeSpec",
    "EvalConfig",
    "Plan",
    "Run",
    "compare",
    "correlate",
    "evaluate",
    "make_plan",
]

neighbours.settle()
import envs  # noqa: E402, F401  pins numerics before anything loads NumPy or torch

_HOMES = {
    "Audit": "audit.folder",
    "ConfigError": "errors",
    "EpisodeError": "errors",
    "EpisodeResult": "types",
    "EpisodeSpec": "types",
    "EvalConfig": "config",
    "Plan": "plan",
    "Run": "store",
    "compare": "comparison",
    "correlate": "findings",
    "evaluate": "api",
    "make_plan": "plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'simeval' has no attribute '{name}'")
    return getattr(importlib.import_module(f"simeval.{_HOMES[name]}"), name)
