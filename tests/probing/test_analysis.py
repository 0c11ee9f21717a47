"""Probes, similarity and attention over made-up frames and vectors, in which it is known what is where."""

from dataclasses import replace

import numpy as np
import pytest

from simeval.probing.analysis import Material, attention, embeddings, probe_all, similarity, with_layers_of_start
from simeval.probing.frame_set import FrameInfo, FrameSet
from simeval.probing.results import NAMED, OTHERS
from simeval.probing.vectors import PIXELS, LayerVectors, Vectors, covered_regions, of_objects

OBJECTS = ("red_1", "green_1", "blue_1")
TASKS, STATES, SIDE, REGIONS, SIZE = 3, 4, 32, 4, 24


def drawn(condition: str = "none") -> FrameSet:
    """Three tasks, each names one of three blocks; a block fills one region of the only camera."""
    rng = np.random.default_rng(0)
    infos, positions, masks, images = [], [], [], []
    for task in range(TASKS):
        for state in range(STATES):
            cells = rng.permutation(REGIONS**2)[: len(OBJECTS)]
            mask = np.zeros((len(OBJECTS), 1, SIDE, SIDE), bool)
            image = np.full((1, SIDE, SIDE, 3), 90, np.uint8)
            for k, cell in enumerate(cells):
                y, x = np.array(divmod(int(cell), REGIONS)) * SIDE // REGIONS
                mask[k, 0, y : y + SIDE // REGIONS, x : x + SIDE // REGIONS] = True
                image[0][mask[k, 0]] = np.eye(3)[k] * 200
            positions.append([[*divmod(int(cell), REGIONS), 0.0] for cell in cells])
            masks.append(mask)
            images.append(image)
            named = tuple(k == task for k in range(len(OBJECTS)))
            infos.append(
                FrameInfo(
                    f"toy/{task}/{state}", "toy", task, f"toy/{task}/{state}", "p", 0, 0, f"touch {task}",
                    f"touch {task}", OBJECTS, named,
                )
            )  # fmt: skip
    states = np.zeros((len(infos), 8), np.float32)
    return FrameSet(
        condition, ("agentview",), tuple(infos), 0, np.array(images), states, np.array(positions), np.array(masks)
    )


def read(found: FrameSet, *, holds: bool, noise: float = 0.1, seed: int = 1) -> Vectors:
    """Vectors of which `vlm 1` holds everything, if `holds`, and `vision` nothing."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(9).normal(size=(20, SIZE))
    n = len(found.frames)

    def noisy(*shape: int) -> np.ndarray:
        return (noise * rng.normal(size=(*shape, SIZE))).astype(np.float32)

    task = np.eye(3)[[info.task for info in found.frames]]
    place = found.positions[np.arange(n), [info.task for info in found.frames], :2]
    frames = noisy(n) + holds * (task @ basis[:3] + place @ basis[3:5]).astype(np.float32)
    named = np.array([info.named for info in found.frames], float)
    objects = noisy(n, 3) + holds * (np.eye(3)[None] @ basis[5:8] + 3 * named[..., None] * basis[8]).astype(np.float32)
    covered = np.array([covered_regions(mask, REGIONS) for mask in found.masks])
    looked = np.full((n, 1, REGIONS, REGIONS), 0.01, np.float32)
    looked += 0.5 * holds * covered[np.arange(n), [info.task for info in found.frames]]
    layers = (
        LayerVectors("vision", noisy(n), noisy(n, 3)),
        LayerVectors("vlm 0", noisy(n), noisy(n, 3)),
        LayerVectors("vlm 1", frames, objects),
        LayerVectors("expert 0", noisy(n), None),
    )
    return Vectors(found.condition, layers, looked, np.full(n, 0.2, np.float32), covered, np.ones((n, 3), bool))


@pytest.fixture(scope="module")
def material() -> Material:
    sets = (drawn(), drawn("noise:0.3"))
    good = (read(sets[0], holds=True), read(sets[1], holds=True, noise=30.0))
    forgot = tuple(read(part, holds=False, seed=2) for part in sets)
    return Material(sets, (("start", good), ("same", good), ("forgot", forgot)), 0)


@pytest.fixture(scope="module")
def probes(material):
    told = []
    found = probe_all(material, told.append)
    assert told == ["probes of start", "probes of same", "probes of forgot"]
    return found


def scores(probes, probe: str, condition: str = "none") -> dict[tuple[str, str], float | None]:
    return {
        (row.policy, row.layer): row.score.score
        for row in probes.rows
        if (row.probe, row.condition) == (probe, condition)
    }


@pytest.mark.parametrize("probe", ["instruction", "position", "object", "target"])
def test_probes_find_what_a_layer_holds_and_nothing_elsewhere(probes, probe):
    found = scores(probes, probe)
    assert found["start", "vlm 1"] > 0.75
    assert found["start", "vlm 1"] > found["start", "vision"] + 0.3
    assert found["forgot", "vlm 1"] < 0.75
    assert scores(probes, probe, "noise:0.3")["start", "vlm 1"] < found["start", "vlm 1"]
    assert ("", PIXELS) in found


def test_pixels_hold_the_colour_and_kind_of_a_block_but_not_which_is_named(probes):
    assert scores(probes, "object")["", PIXELS] == 1.0
    assert scores(probes, "target")["", PIXELS] < 0.9


def test_the_start_beside_itself_has_changed_nothing(material, probes):
    same = [row for row in similarity(material) if row.policy == "same"]
    assert {row.cka for row in same} == {1.0}
    assert all(row.cosine == pytest.approx(1) for row in same)
    assert {(row.kept, row.skill) for row in probes.kept if row.policy == "same"} == {(0.0, 0.0)}


def test_policies_of_other_sizes_are_compared_by_the_names_of_their_layers(material):
    """One has a layer more before its expert, one has none of `vlm 1`, one is narrower."""
    (start, vectors), *_ = material.vectors

    def changed(names, width=SIZE):
        by = {layer.name: layer for layer in vectors[0].layers} | {"vlm 2": replace(vectors[0].layers[2], name="vlm 2")}
        layers = [by[name] for name in names]
        narrow = tuple(
            replace(
                one, frames=one.frames[:, :width], objects=None if one.objects is None else one.objects[..., :width]
            )
            for one in layers
        )
        return tuple(replace(one, layers=narrow) for one in vectors)

    others = {
        "deep": changed(["vision", "vlm 0", "vlm 1", "vlm 2", "expert 0"]),
        "flat": changed(["vision", "vlm 0", "expert 0"]),
        "narrow": changed(["vision", "vlm 0", "vlm 1", "expert 0"], SIZE - 4),
    }
    found, notes = with_layers_of_start(replace(material, vectors=((start, vectors), *others.items())))
    assert dict(notes) == {
        "deep": "its vlm 2 are not compared, the start has none; layers of the same number are compared",
        "flat": "it has no vlm 1; layers of the same number are compared",
    }
    rows = {(row.policy, row.layer): row for row in similarity(found) if row.condition == "none"}
    assert rows["deep", "expert 0"].cka == rows["flat", "expert 0"].cka == 1.0
    assert ("flat", "vlm 1") not in rows
    assert rows["narrow", "vlm 1"].cka > 0.5
    assert rows["narrow", "vlm 1"].cosine is None
    kept = {(row.policy, row.layer) for row in probe_all(found, lambda _: None).kept}
    assert {("deep", "expert 0"), ("flat", "expert 0"), ("narrow", "vlm 1")} <= kept
    assert not {("deep", "vlm 2"), ("flat", "vlm 1")} & kept


def test_what_was_forgotten_is_not_kept(probes):
    kept = {(row.layer, row.probe): row for row in probes.kept if (row.policy, row.condition) == ("forgot", "none")}
    assert kept["vlm 1", "target"].kept < -0.2
    assert kept["vlm 1", "target"].interval.high < 0
    assert abs(np.mean([row.kept for (layer, _), row in kept.items() if layer == "vlm 0"])) < 0.5


def test_attention_is_on_the_named_block_where_it_was_put(material):
    found = {(row.policy, row.condition, row.of): row.pointing for row in attention(material)}
    looking, not_looking = found["start", "none", NAMED], found["forgot", "none", NAMED]
    assert looking.hits == 1.0
    assert looking.share > 0.7
    assert looking.share_chance == not_looking.share_chance == pytest.approx(1 / 16)
    assert not_looking.share == pytest.approx(1 / 16, rel=1e-3)
    assert not_looking.hits == pytest.approx(1 / 16)
    assert found["start", "none", OTHERS].share < 0.1


def test_instructions_are_apart_where_they_were_put(material):
    rows = {row.policy: row.embedding for row in embeddings(material, ["vlm 1"], lambda text: None)}
    assert rows["start"].silhouette > rows["forgot"].silhouette + 0.05
    assert len(rows["start"].points) == TASKS * STATES


def test_an_object_that_cannot_be_seen_is_left_out(material):
    clean = material.frames[0]
    hidden = replace(clean, masks=clean.masks & (np.arange(3) != 1)[None, :, None, None, None])
    found = probe_all(Material((hidden,), (("start", (material.vectors[0][1][0],)),), 0), lambda text: None)
    (row,) = [row for row in found.rows if (row.probe, row.layer) == ("object", "vlm 1")]
    assert row.score.n == 2 * TASKS * STATES


def test_a_vector_of_an_object_is_the_mean_over_what_it_covers():
    regions = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    covered = np.array([[[[1, 0.5], [0, 0]]], [[[0, 0], [0, 0]]]], np.float32)
    assert of_objects(regions, covered) == pytest.approx(np.array([[1 / 1.5, 2.5 / 1.5], [0, 0]]))
