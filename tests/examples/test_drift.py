"""A few hundred steps: what each regulariser does to the drift that it aims at, on frames that were not trained on."""

import json
from functools import cache
from pathlib import Path

import pytest

from examples.finetune.frames import views_of
from examples.finetune.recipes import Weights, parse_recipe
from examples.finetune.training import Settings, Training

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(demonstrations, start, tmp_path_factory):
    views, folder = views_of(demonstrations), tmp_path_factory.mktemp("drift")

    def train(recipe: str) -> tuple[dict[str, float], dict[str, float]]:
        settings = Settings(
            str(start), parse_recipe(recipe), steps=300, batch=16, draws=2, rate=1e-3,
            weights=Weights(contrast=2, consistency=10),
        )  # fmt: skip
        out: Path = folder / recipe
        Training(out, settings, demonstrations, views=views).run()
        rows = [json.loads(line) for line in (out / "training" / "log.jsonl").read_text().splitlines()]
        before, after = (row["held_out"] for row in rows if "held_out" in row)
        return before, after

    return cache(train)


def test_training_lowers_the_loss_on_held_out_frames(measured):
    before, after = measured("flow")
    assert after["objective"] < 0.5 * before["objective"]


def test_contrast_raises_the_distance_between_answers_to_conflicting_instructions(measured):
    assert measured("flow+contrast")[1]["words"] > 1.2 * measured("flow")[1]["words"]


def test_consistency_lowers_the_distance_between_permitted_views(measured):
    assert measured("flow+consistency")[1]["views"] < 0.8 * measured("flow")[1]["views"]
