"""Figures: labels that can be read, colours of the page, text that is text."""

from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import pytest
from drift_studies import simulated
from reports import named, simulated_section, study_result, with_special

from simeval.analysis.thresholds import AxisThreshold, CurvePoint, Thresholds
from simeval.report.figures.drift import plot_scatter
from simeval.report.figures.labels import Box, Label, place_labels
from simeval.report.figures.style import NARROW, RC, VARIABLES, WIDE, family_styles, render, strength_of
from simeval.report.figures.success import plot_success
from simeval.report.figures.thresholds import plot_thresholds
from simeval.report.text import figure_caption_lines

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def result():
    return study_result(with_special(named(simulated(1, families=8, severities=3, tasks=3))))


@pytest.fixture(autouse=True)
def house_style():
    import matplotlib.style

    with matplotlib.style.context(["default", RC]):
        yield


def boxes(figure, texts) -> list[Box]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    extents = [text.get_window_extent(renderer) for text in texts]
    return [Box(e.x0, e.y0, e.x1, e.y1) for e in extents]


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=lambda canvas: canvas.name)
def test_24_conditions_in_8_families_have_labels_that_do_not_overlap(result, canvas):
    found = result.correlation
    styles = family_styles(point.axis_family for point in found.points)
    figure = plot_scatter(found, (), styles, figure_caption_lines(found), canvas)
    ax = figure.axes[0]
    labels = [text for text in ax.texts if text.get_text()]
    assert [text.get_text() for text in labels] == [
        strength_of(p.condition, p.axis_family, 18) for p in found.points if not p.excluded
    ]
    placed = boxes(figure, labels)
    # A point wide may touch: that is the padding of the boxes.
    assert [(a, b) for a, b in combinations(placed, 2) if a.overlap(b) > 2] == []
    frame = ax.get_window_extent()
    axes = Box(frame.x0 - 1, frame.y0 - 1, frame.x1 + 1, frame.y1 + 1)
    assert all(box.outside(axes) < 1 for box in placed)


def test_points_in_one_place_still_get_labels_of_their_own():
    figure = WIDE.figure(3)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1])
    taken = place_labels(ax, [Label(0.5, 0.5, f"strength {i}") for i in range(12)], 8)
    assert [pair for pair in combinations(taken, 2) if pair[0].overlap(pair[1]) > 0] == []


def test_families_are_told_apart_by_colour_and_by_marker():
    styles = family_styles([f"axis{i}" for i in range(8)])
    assert len({look.color for look in styles.values()}) == len({look.marker for look in styles.values()}) == 8
    more = family_styles([f"axis{i}" for i in range(80)])
    assert len({(look.color, look.marker) for look in more.values()}) == 80


def test_text_of_conditions_is_never_read_as_mathematics():
    odd = "own.axis:$x_1^2$"
    section = simulated_section(named(simulated(2, families=8, severities=3, tasks=1, states=4)))
    rates = section.analysis.rates
    rows = [rates[0], replace(rates[1], condition=odd)]
    drawing = render("odd", "<alt>", lambda canvas: plot_success(rows, (), {}, {}, canvas))
    for svg in (drawing.svg.decode(), drawing.wide, drawing.narrow):
        texts = ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]
        assert odd in texts


def test_a_drawing_of_the_page_follows_its_colours_and_has_no_stray_ids():
    section = simulated_section(named(simulated(2, families=8, severities=3, tasks=1, states=4)))
    styles = family_styles(condition.axis_family for condition in section.conditions)
    known = {condition.name: condition for condition in section.conditions}
    rates, drops = section.analysis.rates, section.analysis.drops
    drawing = render("success", 'a "quoted" <alt>', lambda canvas: plot_success(rates, drops, known, styles, canvas))
    for svg in (drawing.wide, drawing.narrow):
        root = ElementTree.fromstring(svg)
        css = " ".join(element.attrib.get("style", "") for element in root.iter())
        assert not [color for color in VARIABLES if color in css]
        assert "var(--ink)" in css
        assert "var(--family-3)" in css
        assert root.attrib["aria-label"] == 'a "quoted" <alt>'
        assert list(root.iter(f"{SVG}style")) == []
        ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
        references = {v[1:] for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")}
        references |= {e.attrib["clip-path"][5:-1] for e in root.iter() if "clip-path" in e.attrib}
        assert ids == references
    assert b"<dc:date>" not in drawing.svg
    assert drawing.png.startswith(b"\x89PNG")
    assert b"Software" not in drawing.png


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=lambda canvas: canvas.name)
def test_a_threshold_near_the_end_is_titled_as_the_tables_say_it(canvas):
    curve = tuple(CurvePoint(value, 0.8, 0.7, 0.9) for value in (0.0, 0.5, 1.0))
    axis = AxisThreshold(
        label="noise", unit="fraction", identity=0.0, stop=1.0, is_ratio=False, is_reached=False, value=None, low=None,
        high=None, width=0.4, beyond=0.34, not_before=0.78, is_settled=False, episodes=0, errors=0, placed=(),
        curve=curve, text="noise beyond 0.78, perhaps not reached up to 1 (probability 0.34)",
    )  # fmt: skip
    figure = plot_thresholds(Thresholds("libero_spatial", 0.5, 0.15, 12, 15, (axis, axis)), canvas)
    titles = [ax._left_title for ax in figure.axes[:2]]
    assert {" ".join(title.get_text().split()) for title in titles} == {axis.text}
    wide = max(box.right - box.left for box in boxes(figure, titles))
    assert wide <= figure.bbox.width / (1 if canvas.narrow else 2)
