"""The strengths of an axis: canonical, in its bounds, from weak to strong; and what has none."""

import math

import numpy as np
import pytest

from perturbations.base import axes
from perturbations.spec import parse
from simeval.config.strengths import POINTS, strength_ranges
from simeval.core.errors import ConfigError

NUMERIC = [info.name for info in axes() if not info.words]


@pytest.mark.parametrize("name", NUMERIC)
def test_every_axis_with_numbers_has_a_range(name):
    (found,) = strength_ranges([name])
    assert [str(parse(text)) for text in found.conditions] == list(found.conditions)
    assert [float(parse(text).terms[0].value) for text in found.conditions] == list(found.values)
    shares = [found.share(value) for value in found.values]
    assert shares == sorted(set(shares))
    assert shares[0] > 0
    assert shares[-1] == 1
    assert max(np.diff([0, *shares])) < 0.25
    assert len(shares) <= POINTS
    assert [found.value(share) for share in shares] == pytest.approx(found.values)
    assert found.label == name


@pytest.mark.parametrize(
    ("text", "first", "last", "label"),
    [
        ("noise", "noise:0.025", "noise:1", "noise"),
        ("light", "light:0.975", "light:0", "light"),
        ("noise:0..0.4@wrist/mode=static", "noise:0.01@wrist/mode=static", "noise:0.4@wrist/mode=static",
         "noise@wrist/mode=static"),
        ("noise:..50%", "noise:0.0125", "noise:0.5", "noise"),
        ("light:0.2..1", "light:0.9606", "light:0.2", "light"),
        ("camera.orbit:0..-90", "camera.orbit:-2.25", "camera.orbit:-90", "camera.orbit"),
        ("occlusion:0.1..0.5", "occlusion:0.1", "occlusion:0.5", "occlusion"),
        ("layout.distractors", "layout.distractors:1", "layout.distractors:5", "layout.distractors"),
    ],
)  # fmt: skip
def test_a_range_is_written_from_to(text, first, last, label):
    (found,) = strength_ranges([text])
    assert (found.conditions[0], found.conditions[-1], found.label) == (first, last, label)


def test_a_range_is_compared_by_ratio_where_both_ends_are_positive():
    ratio, difference = strength_ranges(["light:1..0.25", "noise"])
    assert ratio.is_ratio
    assert not difference.is_ratio
    assert ratio.share(0.5) == pytest.approx(0.5)
    assert ratio.value(0.5) == pytest.approx(0.5)
    assert difference.value(0.5) == 0.5
    steps = np.diff(np.log(ratio.values))
    assert np.ptp(steps) < 0.02 * abs(steps.mean()) + 0.002


def test_beyond_the_range_is_written_as_its_end():
    (found,) = strength_ranges(["noise"])
    assert found.value(1.4) == found.stop == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instruction", "takes words"),
        ("noyse", "did you mean 'noise'"),
        ("noise:0..3", "value must be in [0, 1]"),
        ("noise:0.5", "write a range FROM..TO"),
        ("noise:", "write a range FROM..TO"),
        ("noise:0..", "write a range FROM..TO"),
        ("noise:a..b", "value must be a number"),
        ("noise:0.5..0.5", "two different values"),
        ("light:0.5..2", "1 changes nothing and lies inside"),
        ("noise+light", "name one axis"),
        ("light@wrist", "takes no '@camera'"),
        ("noise/colour=red", "no key 'colour'"),
        ("", "name one axis"),
    ],
)
def test_a_range_that_cannot_be_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError) as refused:
        strength_ranges([text])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("--perturb ")


def test_an_axis_is_given_once_and_at_least_one():
    with pytest.raises(ConfigError, match="noise: given twice"):
        strength_ranges(["noise", "noise:0..0.5"])
    with pytest.raises(ConfigError, match="name an axis"):
        strength_ranges([])
    assert len(strength_ranges(["noise", "noise@wrist"])) == 2


def test_values_for_people_have_the_digits_of_their_range():
    noise, orbit, friction, shot = strength_ranges(["noise", "camera.orbit", "friction", "noise.shot"])
    assert noise.text(0.7123) == "0.71"
    assert noise.text(-0.001) == "0.00"
    assert orbit.text(math.pi) == "3"
    assert friction.text(0.2234) == "0.223"
    assert shot.text(1234.5) == "1234"
