"""What was found inside policies, as chapters of a page: tables, figures, and the attention of all policies."""

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from simeval.core.types import CLEAN
from simeval.probing.probes import PROBES
from simeval.probing.results import Representations
from simeval.probing.vectors import PIXELS
from simeval.report.blocks import ArtifactCollector, Block, BulletList, Chapter, Media, Table, Text, columns
from simeval.report.figures.layers import LayerPanel, PlanePanel, plot_layers, plot_planes
from simeval.report.format import NOTHING, decimal, p_value
from simeval.report.representation.rows import HELD, KEPT, LOOK, PLANE, READ, SIMILAR, change_rows, read_rows
from simeval.report.representation.terminal import attention_cells, score_text

NOT_SHOWN = (
    "What can be read need not be used: a probe finds information, not its effect on the action. "
    "What cannot be read linearly may still be there. Attention is not an explanation, and its regions are coarse. "
    "t-SNE shows clusters in noise as well: read its numbers first."
)


def representation_chapters(
    found: Representations, artifacts: ArtifactCollector, sheets: Sequence[Path] = ()
) -> Iterator[Chapter]:
    """The chapters.

    Args:
        found: what was found.
        artifacts: collects the files.
        sheets: images of the attention, to be embedded.
    """
    about = f"{found.frames} frames of {found.states} initial states; {found.source}. The start is {found.start}."
    intro: list[Block] = [Text(about, "lead"), Text(NOT_SHOWN), Text(found.assets, "note")]
    if found.left_out:
        intro.append(BulletList(tuple(f"{name}: {reason}" for name, reason in found.left_out)))
    yield Chapter("Inside the policies", tuple(intro), level=2)
    yield Chapter("What can be read", tuple(_read(found, artifacts)))
    if len(found.policies) > 1:
        yield Chapter("What is kept of the start", tuple(_kept(found, artifacts)))
    yield Chapter("Where the policies look", tuple(_attention(found, artifacts, sheets)))
    yield Chapter("t-SNE, and whether to believe it", tuple(_planes(found, artifacts)))


def _read(found: Representations, artifacts: ArtifactCollector) -> Iterator[Block]:
    layers = _layers(found)
    every = list(read_rows(found, found.layers))
    csv = artifacts.add_table("probes", found.probes)
    scores = {(row.probe, row.policy, row.layer): row for row in every}
    panels = []
    for probe in PROBES:
        mine = [row for row in every if row.probe == probe.name]
        if not mine:
            continue
        lines = {
            policy: [
                row.score if (row := scores.get((probe.name, policy, layer))) and row.score is not None else None
                for layer in layers
            ]
            for policy in found.policies
        }
        chances = [row.chance for row in mine if row.chance is not None]
        references = [("chance", sum(chances) / len(chances))] if chances else []
        references += [(PIXELS, mine[0].pixels)] if mine[0].pixels is not None and mine[0].pixels > -1 else []
        clipped = {name: [None if v is None else max(v, -1.0) for v in values] for name, values in lines.items()}
        panels.append(LayerPanel(f"{probe.name}, %", layers, clipped, tuple(references)))
    if panels:
        yield artifacts.add_figure(
            "probes", "Scores of the probes by layer and policy", partial(plot_layers, panels, found.policies),
            f"What a linear probe reads from each layer, clean frames. Below -100 is shown as -100. {HELD}", (csv,),
        )  # fmt: skip
    rows = tuple(
        (
            *(row.probe, row.layer, row.policy, score_text(row.score, row.interval), decimal(row.chance)),
            *(p_value(row.p), decimal(row.pixels), _error(row.probe, row.error), str(row.n), row.reason),
        )
        for row in read_rows(found, found.last_layers)
    )
    heads = columns(
        *("probe", "layer", "policy", "score, % [95 % CI]", "chance", "p, shuffled", "pixels", "error", "samples"),
        *("note",),
        words=["layer", "policy", "note"],
    )
    yield Table("The last layers, clean frames", heads, rows, csv, READ)
    for layer in found.last_layers:
        yield _by_condition(found, layer, csv)


def _by_condition(found: Representations, layer: str, csv: str) -> Table:
    by_key = {(r.probe, r.condition, r.policy): r.score for r in found.probes if r.layer == layer}
    rows = tuple(
        (probe.name, condition, *(_score(by_key.get((probe.name, condition, policy))) for policy in found.policies))
        for probe in PROBES
        for condition in found.conditions
        if any((probe.name, condition, policy) in by_key for policy in found.policies)
    )
    heads = columns("probe", "condition", *found.policies, words=["condition"])
    note = "Fitted on clean frames, tested on held-out ones under the condition; in per cent."
    return Table(f"{layer} under each condition", heads, rows, csv, note, folded=layer != found.last_layers[0])


def _score(score: object) -> str:
    return NOTHING if score is None else score_text(score.score, score.interval)  # type: ignore[attr-defined]


def _error(probe: str, error: float | None) -> str:
    if error is None:
        return NOTHING
    unit = {"position": f"{100 * error:.1f} cm", "position in image": f"{100 * error:.1f} % of side"}
    return unit.get(probe, f"{error:.3f}")


def _kept(found: Representations, artifacts: ArtifactCollector) -> Iterator[Block]:
    others = [policy for policy in found.policies if policy != found.start]
    csv = artifacts.add_table("kept", found.retention)
    similar_csv = artifacts.add_table("similarity", found.similarity)
    first = found.last_layers[0]
    by_key = {(r.probe, r.condition, r.policy): r for r in found.retention if r.layer == first}
    rows = tuple(
        (
            probe.name,
            condition,
            *(
                score_text(row.kept, row.interval) if (row := by_key.get((probe.name, condition, policy))) else NOTHING
                for policy in others
            ),
        )
        for probe in PROBES
        for condition in found.conditions
        if any((probe.name, condition, policy) in by_key for policy in others)
    )
    yield Table(f"Kept at {first}", columns("probe", "condition", *others, words=["condition"]), rows, csv, KEPT)
    changes = tuple(
        (row.policy, row.condition, row.layer, decimal(row.kept), _three(row.cka), _three(row.cosine))
        for layer in found.last_layers
        for row in change_rows(found, layer)
    )
    heads = columns("policy", "condition", "layer", "kept, all probes", "CKA", "cosine", words=["condition", "layer"])
    yield Table(f"Beside {found.start}", heads, changes, similar_csv, SIMILAR, folded=len(changes) > 24)
    layers = _layers(found)
    clean = {(r.policy, r.layer): r for r in found.similarity if r.condition == CLEAN}
    panels = [
        LayerPanel(
            title, layers,
            {p: [getattr(clean[p, layer], name) if (p, layer) in clean else None for layer in layers] for p in others},
            percent=False,
        )
        for title, name in (("CKA to the start", "cka"), ("cosine to the start", "cosine"))
    ]  # fmt: skip
    yield artifacts.add_figure(
        "similarity", "CKA and cosine to the start by layer", partial(plot_layers, panels, others),
        f"Each layer beside the same layer of {found.start}, clean frames.", (similar_csv,),
    )  # fmt: skip


def _attention(found: Representations, artifacts: ArtifactCollector, sheets: Sequence[Path]) -> Iterator[Block]:
    csv = artifacts.add_table("attention", found.attention)
    rows = tuple((policy, condition, *cells) for policy, condition, cells in attention_cells(found))
    heads = columns(
        *("policy", "condition", "on named objects, % [95 % CI]", "chance, %", "peak, % [95 % CI]", "its chance, %"),
        *("on other objects, %", "on words, %", "frames"),
        words=["condition"],
    )
    yield Table("Attention against the simulator's masks", heads, rows, csv, LOOK)
    for place, sheet in enumerate(sheets):
        content = base64.b64encode(sheet.read_bytes()).decode()
        caption = f"{sheet.stem}: the same frame for all policies; the outline is that of the named objects."
        yield Media(f"data:image/png;base64,{content}", caption, video=False, link=False, folded=place > 0)


def _planes(found: Representations, artifacts: ArtifactCollector) -> Iterator[Block]:
    rows = tuple(
        (
            *(row.policy, row.layer, _three(row.embedding.silhouette), _three(row.embedding.silhouette_plane)),
            *(_three(row.embedding.trustworthiness), row.embedding.reason),
        )
        for row in found.embeddings
    )
    heads = columns(
        *("policy", "layer", "silhouette", "silhouette in the plane", "trustworthiness", "note"),
        words=["layer", "note"],
    )
    csv = artifacts.add_table("tsne", found.embeddings)
    yield Table("Are instructions apart?", heads, rows, csv, PLANE)
    for layer in found.last_layers:
        panels = [
            PlanePanel(f"{row.policy}: silhouette {_three(row.embedding.silhouette)}", row.embedding.points, row.labels)
            for row in found.embeddings
            if row.layer == layer and row.embedding.points
        ]
        if panels:
            yield artifacts.add_figure(
                f"tsne-{layer.replace(' ', '-')}", f"t-SNE of {layer} for each policy", partial(plot_planes, panels),
                f"t-SNE of {layer}, clean frames, by instruction; silhouette in the features.", (csv,),
            )  # fmt: skip


def _layers(found: Representations) -> tuple[str, ...]:
    return tuple(layer for layer in found.layers if layer != PIXELS)


def _three(value: float | None) -> str:
    return NOTHING if value is None else f"{value:z.3f}"
