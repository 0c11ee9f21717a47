"""simeval: how robust is a Vision-Language-Action policy, and could offline action drift have told you?

    from simeval import EvalConfig, evaluate

    run = evaluate(EvalConfig(suite=("toy",), perturb=("noise:0.1,0.3",), workers=2))
    print(run.episodes.groupby("condition")["outcome"].value_counts())

Names are loaded when they are first used: importing this package is free.
"""

import importlib
from typing import TYPE_CHECKING, Any

from simeval.core import namesakes

if TYPE_CHECKING:
    from simeval.analysis.compare import compare
    from simeval.analysis.correlate import correlate
    from simeval.api import evaluate
    from simeval.config.evaluation import EvalConfig
    from simeval.config.plan import Plan, make_plan
    from simeval.core.errors import ConfigError, EpisodeError
    from simeval.core.types import EpisodeResult, EpisodeSpec
    from simeval.store.audit import Audit
    from simeval.store.run import Run

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

namesakes.settle()
import envs  # noqa: E402, F401  pins numerics before anything loads NumPy or torch

_HOMES = {
    "Audit": "store.audit",
    "ConfigError": "core.errors",
    "EpisodeError": "core.errors",
    "EpisodeResult": "core.types",
    "EpisodeSpec": "core.types",
    "EvalConfig": "config.evaluation",
    "Plan": "config.plan",
    "Run": "store.run",
    "compare": "analysis.compare",
    "correlate": "analysis.correlate",
    "evaluate": "api",
    "make_plan": "config.plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'simeval' has no attribute '{name}'")
    return getattr(importlib.import_module(f"simeval.{_HOMES[name]}"), name)
