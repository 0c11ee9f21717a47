"""Style of the figures, and their rendering as SVG and PNG: the same bytes for the same numbers.

Non-obvious behaviour:
- Every figure is rendered twice, for a wide and for a narrow page, so that its text is legible on a phone.
- Text stays text in SVG and is never parsed as mathematics: a condition may contain `$` or `_`.
- In the page colours become CSS variables, so that one figure serves a light and a dark page.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1a1d21", "#5b6470", "#d5d9df", "#fffffe"
HARM, HELP = "#d55e01", "#0072b3"
"""Success lost and won. Different from the families' colours, so that the page can set them separately."""
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98", "#c4b400")
"""Okabe and Ito's (2008) colours, distinct for colour-blind readers; grey replaces their black, which is the text
colour here, and their yellow is darkened to be visible on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", "p", ">")
VARIABLES = {
    **{INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", HARM: "harm", HELP: "help"},
    **{color: f"family-{index}" for index, color in enumerate(OKABE_ITO)},
}
"""Colour -> CSS variable of the page."""

PNG_DPI = 200
RC = {
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "font.family": "sans-serif",
    # DejaVu comes with matplotlib; Verdana has the same widths, for browsers without it.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "svg.fonttype": "none",
    "svg.image_inline": True,
}


@dataclass(frozen=True, slots=True)
class Canvas:
    """The page for which a figure is rendered.

    Attributes:
        name: `wide` or `narrow`.
        width: inches.
        font: size of the text (points).
    """

    name: str
    width: float
    font: float

    @property
    def narrow(self) -> bool:
        """Whether it is a phone's page."""
        return self.name == "narrow"

    def figure(self, height: float) -> "Figure":
        """An empty figure with a constrained layout; height in inches."""
        from matplotlib.figure import Figure

        return Figure(figsize=(self.width, height), layout="constrained")


WIDE, NARROW = Canvas("wide", 8.0, 9.0), Canvas("narrow", 3.7, 8.0)

Plot = Callable[[Canvas], "Figure"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A rendered figure.

    Attributes:
        name: of its files, without suffix.
        alt: alternative text.
        svg, png: contents of the files.
        wide, narrow: SVG elements for the page.
    """

    name: str
    alt: str
    svg: bytes
    png: bytes
    wide: str
    narrow: str


def render(name: str, alt: str, plot: Plot) -> Drawing:
    """Render a figure for both pages and as files."""
    svg, png = _render_canvas(name, plot, WIDE)
    narrow, _ = _render_canvas(name, plot, NARROW)
    return Drawing(name, alt, svg, png, inline_svg(svg.decode(), alt), inline_svg(narrow.decode(), alt))


def _render_canvas(name: str, plot: Plot, canvas: Canvas) -> tuple[bytes, bytes]:
    import matplotlib as mpl
    import matplotlib.style

    # "default" first: the figures must not depend on the user's settings.
    salt: Any = {"svg.hashsalt": f"{name}-{canvas.name}", "font.size": canvas.font}
    with matplotlib.style.context(["default", RC]), mpl.rc_context(salt):
        figure = plot(canvas)
        freeze_layout(figure)
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        if not canvas.narrow:
            figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def freeze_layout(figure: "Figure") -> None:
    """Compute and fix a figure's layout, so that positions on the canvas are known."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def inline_svg(svg: str, alt: str) -> str:
    """An SVG file as an element of the page: scaled by CSS, colours as variables, without unreferenced ids."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    # A style element would apply to the whole page; its two lines are in the page's style.
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)
    used = set(re.findall(r"#([\w-]+)", " ".join(v for e in root.iter() for k, v in e.attrib.items() if _refers(k, v))))
    for element in root.iter():
        if element.attrib.get("id") not in used:
            element.attrib.pop("id", None)
        for key in {"style", "fill", "stroke"} & element.attrib.keys():
            element.attrib[key] = _with_variables(element.attrib[key])
    root.attrib |= {"role": "img", "aria-label": alt, "style": f"max-width:{width / 72:g}in"}
    return ElementTree.tostring(root, encoding="unicode")


def _refers(key: str, value: str) -> bool:
    return key.endswith("href") or "url(" in value


def _with_variables(style: str) -> str:
    return re.sub(r"#[0-9a-f]{6}", lambda m: f"var(--{VARIABLES[m[0]]})" if m[0] in VARIABLES else m[0], style)


@dataclass(frozen=True, slots=True)
class MarkerStyle:
    """Colour and marker of an axis family: either alone distinguishes it from its neighbours."""

    color: str
    marker: str

    def hollow(self, size: float = 6.0) -> dict[str, Any]:
        """Arguments of markers of excluded points; size in points."""
        face = {"markerfacecolor": PAPER, "markeredgecolor": self.color, "markeredgewidth": 1.2}
        return {"linestyle": "", "marker": self.marker, "markersize": size, **face}

    def filled(self, size: float = 6.0) -> dict[str, Any]:
        """Arguments of markers of included points; size in points."""
        face = {"markerfacecolor": self.color, "markeredgecolor": INK, "markeredgewidth": 0.5}
        return {"linestyle": "", "marker": self.marker, "markersize": size, **face}


def family_styles(families: Iterable[str]) -> Mapping[str, MarkerStyle]:
    """One style per family, in the order given; 8 colours and 11 markers repeat together after 88 families."""
    names = dict.fromkeys(families)
    return {name: MarkerStyle(OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}


def strength_of(condition: str, family: str, longest: int = 24) -> str:
    """Short label of a condition within its axis family: its strength, or its whole name."""
    text = condition.removeprefix(f"{family}:")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def percent(fraction: float, _position: object = None) -> str:
    """A tick label in per cent or points."""
    return f"{100 * fraction:.0f}".replace("-", "\N{MINUS SIGN}")


def format_as_percent(axis: Any) -> None:
    """Label an axis of fractions in per cent or points."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(percent))


def add_grid(axes: "Axes", axis: Literal["both", "x", "y"]) -> None:
    """Faint lines behind the marks."""
    axes.grid(visible=True, axis=axis)
    axes.set_axisbelow(True)
