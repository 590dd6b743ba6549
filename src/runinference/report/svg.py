"""Figures of matplotlib as SVG that is part of a page: it takes the page's colours and font, and loads nothing."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

from runinference.packages import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that stand for variables of the page's style sheet, which differ between light and dark.
COLOURS: Final = {name: f"#0{number:x}f0f0" for number, name in enumerate(("ink", "muted", "grid", "series", "bad"))}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # Text stays text: it can be read aloud, searched, and has the font of the page.
    "font.size": 10.5,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["grid"],
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": COLOURS["grid"],
    "ytick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "legend.frameon": False,
}


def new_figure(width: int, height: int, name: str) -> tuple[Figure, Any]:
    """A figure of so many pixels with one pair of axes, in the style of the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "report", "draw the charts of a report")
    figure_module = require("matplotlib.figure", "report", "draw the charts of a report")
    # 72 points to the inch, as in SVG, so that a point is a pixel.
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = figure_module.Figure(figsize=(width / 72, height / 72), dpi=72)
        return figure, figure.subplots()


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an element of a page.

    Args:
        figure: The figure.
        name: Put before each identifier, so that those of several figures differ.
        description: What it shows; without markup.
    """
    matplotlib = require("matplotlib", "report", "draw the charts of a report")
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    text = re.sub(r' (width|height)="[\d.]+pt"| xmlns(:xlink)?="[^"]*"', "", text)
    text = text.replace("xlink:href", "href").replace(' version="1.1"', "")
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r"(\.\d\d)\d+", r"\1", text)  # A hundredth of a pixel is enough.
    for colour, value in COLOURS.items():
        text = text.replace(value, f"var(--{colour})")
    return text.replace("<svg", f'<svg class="{name}" role="img" aria-label="{description}"', 1).strip()
