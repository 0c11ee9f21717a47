"""simeval: how robust is a Vision-Language-Action policy, and could offline action drift have told you?

    from simeval import EvalConfig, evaluate

    run = evaluate(EvalConfig(suite=("toy",), perturb=("noise:0.1,0.3",), workers=2))
    print(run.episodes.groupby("condition")["outcome"].value_counts())

Names are loaded when they are first used: importing this package is free.
"""

import importlib
from typing import TYPE_CHECKING, Any

from simeval.core import namesakes

if TYPE_CHECKING:  # for type checkers and editors; a test holds these lines against the table below
    from simeval.analysis.compare import compare as compare
    from simeval.analysis.correlate import correlate as correlate
    from simeval.api import audit as audit
    from simeval.api import evaluate as evaluate
    from simeval.api import threshold as threshold
    from simeval.api import worst as worst
    from simeval.config.audit import AuditConfig as AuditConfig
    from simeval.config.evaluation import EvalConfig as EvalConfig
    from simeval.config.plan import Plan as Plan
    from simeval.config.plan import make_plan as make_plan
    from simeval.config.threshold import threshold_config as threshold_config
    from simeval.config.worst import worst_config as worst_config
    from simeval.core.errors import ConfigError as ConfigError
    from simeval.core.errors import EpisodeError as EpisodeError
    from simeval.core.errors import SimevalError as SimevalError
    from simeval.core.types import EpisodeResult as EpisodeResult
    from simeval.core.types import EpisodeSpec as EpisodeSpec
    from simeval.media.preview import write_preview as write_preview
    from simeval.media.video import render_videos as render_videos
    from simeval.report.collect import report_data as report_data
    from simeval.report.page import write_report as write_report
    from simeval.store.audit import Audit as Audit
    from simeval.store.run import Run as Run

namesakes.settle()
import envs  # noqa: E402, F401  pins numerics before anything loads NumPy or torch

_HOMES = {
    "Audit": "store.audit",
    "AuditConfig": "config.audit",
    "ConfigError": "core.errors",
    "EpisodeError": "core.errors",
    "EpisodeResult": "core.types",
    "EpisodeSpec": "core.types",
    "EvalConfig": "config.evaluation",
    "Plan": "config.plan",
    "Run": "store.run",
    "SimevalError": "core.errors",
    "audit": "api",
    "compare": "analysis.compare",
    "correlate": "analysis.correlate",
    "evaluate": "api",
    "make_plan": "config.plan",
    "render_videos": "media.video",
    "report_data": "report.collect",
    "threshold": "api",
    "threshold_config": "config.threshold",
    "worst": "api",
    "worst_config": "config.worst",
    "write_preview": "media.preview",
    "write_report": "report.page",
}
"""The public names, and the module of simeval that each is loaded from when it is first used."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'simeval' has no attribute '{name}'")
    return getattr(importlib.import_module(f"simeval.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
