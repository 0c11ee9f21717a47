"""The order of conditions in tables."""

import subprocess
import sys

import pytest

from simeval.analysis.families import in_families


@pytest.mark.parametrize(
    ("planned", "ordered"),
    [
        # A run that grew by strengths and by an axis.
        (
            ["none", "noise:0.1", "light:0.8", "noise:0.3", "light:0.4", "light:0.6", "noise:0.2"],
            ["none", "noise:0.1", "noise:0.2", "noise:0.3", "light:0.8", "light:0.6", "light:0.4"],
        ),
        # Strengths that rise or fall are in the order that was asked for.
        (["none", "noise:0.3", "noise:0.1", "noise:0.05"], ["none", "noise:0.3", "noise:0.1", "noise:0.05"]),
        (
            ["camera.orbit:-30", "camera.orbit:10", "camera.orbit:-5"],
            ["camera.orbit:-5", "camera.orbit:10", "camera.orbit:-30"],
        ),
        # Another camera, and another mode, are no strengths of the same curve.
        (
            ["noise:0.1", "noise:0.1@wrist", "noise:0.3", "none", "noise:0.2@wrist", "noise:0.2"],
            ["none", "noise:0.1", "noise:0.2", "noise:0.3", "noise:0.1@wrist", "noise:0.2@wrist"],
        ),
        # Words keep their order; a combination is a family of its own.
        (
            ["none", "instruction:paraphrase", "noise:0.1+light:0.5", "noise:0.2", "instruction:empty"],
            ["none", "instruction:paraphrase", "instruction:empty", "noise:0.1+light:0.5", "noise:0.2"],
        ),
        # An axis of a plugin that is not loaded keeps its order.
        (
            ["mine:0.2", "none", "noise:0.1", "mine:0.1", "mine:0.3"],
            ["none", "mine:0.2", "mine:0.1", "mine:0.3", "noise:0.1"],
        ),
        ([], []),
    ],
)
def test_conditions_of_an_axis_stand_together(planned, ordered):
    assert in_families(planned) == ordered
    assert in_families(iter(planned)) == ordered


def test_planned_strengths_need_no_axes():
    code = (
        "import sys; from simeval.analysis.families import in_families; "
        "in_families(['none', 'noise:0.1', 'light:0.8', 'light:0.4']); print('perturbations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
