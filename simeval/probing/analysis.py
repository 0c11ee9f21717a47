"""From stored frames and vectors to what was found: probes, what is kept of them, similarity, attention, t-SNE."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
from numpy.typing import NDArray

from simeval.probing.frame_set import FrameSet
from simeval.probing.probes import PROBES, Probe, Samples, Vocabulary, baseline, folds_of, samples, skill
from simeval.probing.results import NAMED, OTHERS, AttentionRow, EmbeddingRow, ProbeRow, RetentionRow, SimilarityRow
from simeval.probing.vectors import PIXELS, LayerVectors, Vectors, of_pixels
from simeval.stats.embedding import embed
from simeval.stats.pointing import on_object, pointing
from simeval.stats.probe import Probed, kept, probe
from simeval.stats.representation import cosine_distance, linear_cka
from simeval.stats.resampling import Resampling

RESAMPLES = 499
"""Resamples of an interval: there are thousands of probes."""
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All sets of frames, the clean one first, with the vectors of each policy in the same order."""

    frames: tuple[FrameSet, ...]
    vectors: tuple[tuple[str, tuple[Vectors, ...]], ...]
    seed: int

    @property
    def resampling(self) -> Resampling:
        """Of all intervals."""
        return Resampling(seed=self.seed, n_resamples=RESAMPLES)


@dataclass(frozen=True, slots=True)
class Probes:
    """The rows of all probes, and what the policies keep of the start's."""

    rows: tuple[ProbeRow, ...]
    kept: tuple[RetentionRow, ...]


def probe_all(material: Material, note: Note) -> Probes:
    """Every probe of every layer of every policy, fitted on clean frames and tested under every condition.

    Args:
        material: the start's vectors first.
        note: is told each policy before its probes are fitted.
    """
    words = Vocabulary.of(material.frames[0], material.frames[1:])
    prepared = [_prepare(one, material, words) for one in PROBES]
    rows: list[ProbeRow] = []
    found: list[RetentionRow] = []
    start: dict[tuple[str, str], tuple[Probed, ...]] = {}
    for number, (policy, vectors) in enumerate(material.vectors):
        note(f"probes of {policy}")
        layers = list(zip(*(one.layers for one in vectors), strict=True))
        if number == 0:
            pixels = tuple(of_pixels(part, one.covered) for part, one in zip(material.frames, vectors, strict=True))
            layers.insert(0, pixels)
        for prepared_probe in prepared:
            for layer in layers:
                tested = _run(prepared_probe, layer, material)
                if not tested:
                    continue
                name = layer[0].name
                owner = "" if name == PIXELS else policy
                rows += [
                    ProbeRow(
                        *(owner, name, prepared_probe.probe.name, part.condition, one.score),
                        skill(one.score, prepared_probe.guess),
                    )
                    for part, one in zip(material.frames, tested, strict=True)
                ]
                if number == 0:
                    start[prepared_probe.probe.name, name] = tested
                else:
                    before = start[prepared_probe.probe.name, name]
                    found += _kept(prepared_probe, policy, name, before, tested, material)
    return Probes(tuple(rows), tuple(found))


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    probe: Probe
    sets: tuple[Samples, ...]
    folds: NDArray[np.int64]
    guess: float


def _prepare(one: Probe, material: Material, words: Vocabulary) -> _Prepared:
    sets = tuple(samples(one, part, words, material.seed) for part in material.frames)
    folds = folds_of(one, sets[0], material.frames[0], words, material.seed)
    return _Prepared(one, sets, folds, baseline(one, sets[0]))


def _run(prepared: _Prepared, layer: Sequence[LayerVectors], material: Material) -> tuple[Probed, ...]:
    """The probe of a layer under every condition; empty where the layer has no such samples."""
    if prepared.probe.of == "object" and layer[0].objects is None:
        return ()
    tested = [replace(one.data, features=_features(one, part)) for one, part in zip(prepared.sets, layer, strict=True)]
    return probe(prepared.probe.kind, tested[0], tested, prepared.folds, material.resampling)


def _features(one: Samples, layer: LayerVectors) -> NDArray[np.float64]:
    if layer.objects is None or not len(one.objects) or one.objects[0] < 0:
        return layer.frames[one.frames].astype(np.float64)
    return layer.objects[one.frames, one.objects].astype(np.float64)


def _kept(
    prepared: _Prepared,
    policy: str,
    layer: str,
    before: Sequence[Probed],
    after: Sequence[Probed],
    material: Material,
) -> Iterator[RetentionRow]:
    for part, a, b in zip(material.frames, before, after, strict=True):
        difference = kept(a, b, material.resampling)
        skills = [skill(one.score, prepared.guess) for one in (a, b)]
        if difference is None or skills[0] is None or skills[1] is None:
            continue
        name = prepared.probe.name
        yield RetentionRow(policy, layer, name, part.condition, *difference, skills[1] - skills[0])


def similarity(material: Material) -> Iterator[SimilarityRow]:
    """Every layer of every policy beside the start's, on the same frames."""
    _, start = material.vectors[0]
    for policy, vectors in material.vectors[1:]:
        for a, b in zip(start, vectors, strict=True):
            others = {layer.name: layer for layer in b.layers}
            for one in a.layers:
                if (other := others.get(one.name)) is None:
                    continue
                cka = linear_cka(one.frames, other.frames, debiased=True)
                yield SimilarityRow(
                    *(policy, one.name, a.condition, None if isnan(cka) else cka),
                    *(_mean_cosine(one.frames, other.frames), len(one.frames)),
                )


def _mean_cosine(one: NDArray[np.floating], other: NDArray[np.floating]) -> float | None:
    if one.shape != other.shape:
        return None
    return float(np.mean([1 - cosine_distance(x, y) for x, y in zip(one, other, strict=True)]))


def with_layers_of_start(material: Material) -> tuple[Material, tuple[tuple[str, str], ...]]:
    """The layers that the start has, of all policies, and (policy, sentence) for each that has others.

    Layers are compared by their names, so by their depth from below.
    """
    (start, first), *others = material.vectors
    mine = tuple(layer.name for layer in first[0].layers)
    kept, notes = [(start, first)], []
    for policy, vectors in others:
        own = [layer.name for layer in vectors[0].layers]
        surplus, lacking = [name for name in own if name not in mine], [name for name in mine if name not in own]
        parts = [("its {} are not compared, the start has none", surplus), ("it has no {}", lacking)]
        said = [text.format(", ".join(names)) for text, names in parts if names]
        if said:
            notes.append((policy, f"{'; '.join(said)}; layers of the same number are compared"))
        shared = [replace(one, layers=tuple(layer for layer in one.layers if layer.name in mine)) for one in vectors]
        kept.append((policy, tuple(shared)))
    return replace(material, vectors=tuple(kept)), tuple(notes)


def attention(material: Material) -> Iterator[AttentionRow]:
    """Where every policy looks under every condition: at the named objects, and at the others."""
    clusters = sorted({info.cluster for part in material.frames for info in part.frames})
    number = {name: k for k, name in enumerate(clusters)}
    for policy, vectors in material.vectors:
        for part, one in zip(material.frames, vectors, strict=True):
            named = _named(part) & one.visible
            there = _there(part) & one.visible & ~_named(part)
            for of, chosen in ((NAMED, named), (OTHERS, there)):
                kept_frames = [k for k, info in enumerate(part.frames) if chosen[k].any() and info.label]
                measured = [
                    on_object(
                        one.attention[k].astype(np.float64),
                        np.minimum(1.0, one.covered[k][chosen[k]].sum(axis=0, dtype=np.float64)),
                    )
                    for k in kept_frames
                ]
                units = np.array([number[part.frames[k].cluster] for k in kept_frames], np.int64)
                found = pointing(np.array(measured).reshape(-1, 4), units)
                yield AttentionRow(policy, part.condition, of, found, float(one.words.mean()))


def _named(part: FrameSet) -> NDArray[np.bool_]:
    named = np.zeros(part.masks.shape[:2], bool)
    for k, info in enumerate(part.frames):
        named[k, : len(info.named)] = info.named
    return named


def _there(part: FrameSet) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(part.positions).any(axis=2))


def embeddings(material: Material, layers: Sequence[str], note: Note) -> Iterator[EmbeddingRow]:
    """t-SNE of some layers of every policy, on the clean frames, with the instructions as labels."""
    labels = tuple(info.label for info in material.frames[0].frames)
    for policy, (clean, *_) in material.vectors:
        note(f"t-SNE of {policy}")
        for layer in clean.layers:
            if layer.name in layers:
                found = embed(layer.frames.astype(np.float64), np.array(labels), material.seed)
                yield EmbeddingRow(policy, layer.name, labels, found)
