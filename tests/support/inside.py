"""Policies whose inside was read, and a study of their success, drawn: what is planted orders the loss of success."""

from types import SimpleNamespace

import numpy as np

from simeval.probing.analysis import NAMED
from simeval.probing.results import AttentionRow, ProbeRow, Representations, SimilarityRow
from simeval.probing.rivals import ATTENTION, CKA, DRIFT, KEPT
from simeval.stats.pointing import Pointing
from simeval.stats.probe import ProbeScore

CONDITIONS = ("none", "noise:0.1", "noise:0.3", "occlusion:0.2", "light:0.3", "instruction:empty")


def world(policies: int, recipes: int, *, planted: str, seed: int = 0):
    """A start and others; success follows what is `planted`, all other numbers are noise."""
    rng = np.random.default_rng(seed)
    names = ["start", *(f"p{k}" for k in range(policies))]
    groups = ["start", *(f"r{k % recipes}" for k in range(policies))]
    recipe_effect = rng.normal(size=recipes)
    value = {
        what: {
            (name, condition): 0.5 + float(0.1 * rng.normal() + 0.2 * recipe_effect[k % recipes] * (what == planted))
            for k, name in enumerate(names)
            for condition in CONDITIONS
        }
        for what in (KEPT, DRIFT, CKA, ATTENTION)
    }
    success = {
        key: 0.5 + (0.8 if planted == KEPT else -0.8) * (value[planted][key] - 0.5) if planted else 0.1 * rng.normal()
        for key in value[KEPT]
    }
    probes = [ProbeRow(*(n, "vlm 2", "object", c), ProbeScore(v), v) for (n, c), v in value[KEPT].items()]
    similarity = [SimilarityRow(n, "vlm 2", c, 1 - v, 1.0, 9) for (n, c), v in value[CKA].items() if n != "start"]
    attention = [
        AttentionRow(n, c, NAMED, Pointing(v, None, 0.1, None, None, None, 9, 9), 0.1)
        for (n, c), v in value[ATTENTION].items()
    ]
    found = Representations(
        1, "0", "start", tuple(names), ("toy",), CONDITIONS, ("vision", "vlm 2"), 9, 9, "", "", (),
        tuple(probes), (), tuple(similarity), tuple(attention), (),
    )  # fmt: skip
    members = [
        SimpleNamespace(
            name=name,
            group=group,
            analysis=SimpleNamespace(
                rates=[SimpleNamespace(suite="toy", condition=c, rate=success[name, c]) for c in CONDITIONS]
            ),
            drift=tuple((c, value[DRIFT][name, c]) for c in CONDITIONS if c != "none"),
        )
        for name, group in zip(names, groups, strict=True)
    ]
    return found, SimpleNamespace(suite="toy", policies=members)
