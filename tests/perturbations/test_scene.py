"""What the scene axes write."""

from operator import attrgetter

import numpy as np
import pytest

from perturbations.spec import parse


@pytest.mark.parametrize("factor", [0.0, 0.3, 2.0])
def test_light_scales_all_sources_alike(factor, scene, streams):
    kinds = ("ambient", "diffuse", "specular")
    sources = [f"{source}{kind}" for source in ("light_", "vis.headlight.") for kind in kinds]
    before = {name: attrgetter(name)(scene.model).copy() for name in sources}
    parse(f"light:{factor}").apply_scene(scene, streams())
    for name, value in before.items():
        assert np.any(value)
        np.testing.assert_allclose(attrgetter(name)(scene.model), factor * value, rtol=1e-6)


def test_light_one_writes_nothing_even_into_a_locked_model(streams):
    class Locked:
        cameras = {}  # noqa: RUF012

        @property
        def model(self):
            raise AssertionError("the model was asked for")

    parse("light:1").apply_scene(Locked(), streams())
    parse("noise:0.5+instruction:empty").apply_scene(Locked(), streams())


def test_scene_terms_leave_pictures_alone(picture, streams):
    condition = parse("light:0.3")
    assert condition.cameras == ()
    assert condition.apply_images({"wrist": picture}, 0, streams())["wrist"] is picture
