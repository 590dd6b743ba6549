"""Charts as SVG that takes the colours and the font of the page.

They are written by hand rather than by matplotlib, which draws the report of a run: a site has hundreds of them, and
each shows hundreds of runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from runinference.report.markup import escaped
from runinference.report.website.axes import Axis
from runinference.report.website.paths import COLOURS, Spot, band, polyline, px, shape
from runinference.report.website.quantities import Measured

LARGE: Final = {"wide": (1140, 250), "medium": (640, 240), "narrow": (350, 210)}
SMALL: Final = {"small": (360, 190)}

_TOP, _RIGHT, _LINE_HEIGHT = 10, 12, 15
_CHARACTER: Final = 7.0
_MARKERS_FROM: Final = 9.0
_DODGE: Final = 4.0


class Mark(NamedTuple):
    """A value of a line, with the smallest and the largest of what it is the median of."""

    at: float
    figure: Measured


@dataclass(frozen=True)
class Trace:
    """A line of a chart.

    Attributes:
        name: What it is of.
        colour: Number of its colour.
        marks: Its values; `None` where the line is broken.
    """

    name: str
    colour: int
    marks: Sequence[Mark | None]


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        traces: Its lines.
        x: The axis from left to right; a line break in a name begins a second line.
        y: The axis from bottom to top.
        description: What it shows, for those who cannot see it.
        notes: Places on the x axis with what is said there, when a pointer rests on it.
        events: Places on the x axis where a line changed, with its colour.
        dodge: Whether the lines stand beside one another, where many of their values have one place.
    """

    traces: Sequence[Trace]
    x: Axis
    y: Axis
    description: str
    notes: Sequence[tuple[float, str]] = ()
    events: Sequence[tuple[float, int]] = ()
    dodge: bool = field(default=False)


def draw(chart: Chart, size: tuple[int, int], css: str) -> str:
    """The chart as an element of a page."""
    return _Canvas(chart, *size).svg(css)


class _Canvas:
    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self._chart = chart
        self._width, self._height = width, height
        self._left = 14 + _CHARACTER * max(len(text) for _, text in chart.y.marks)
        lines = max((text.count("\n") + 1 for _, text in chart.x.marks), default=1)
        self._right, self._bottom = width - _RIGHT, height - 10 - _LINE_HEIGHT * lines

    def svg(self, css: str) -> str:
        parts = [*self._grid(), *self._names(), *self._notes(), *self._events()]
        parts += [self._trace(place, trace) for place, trace in enumerate(self._chart.traces)]
        return (
            f'<svg class="chart {css}" viewBox="0 0 {self._width} {self._height}" role="img" '
            f'aria-label="{escaped(self._chart.description)}">{"".join(parts)}</svg>'
        )

    def _x(self, value: float) -> float:
        return self._chart.x.place(value, self._left, self._right)

    def _y(self, value: float) -> float:
        return self._chart.y.place(value, self._bottom, _TOP)

    def _grid(self) -> Iterator[str]:
        lines = "".join(f"M{px(self._left)} {px(self._y(value))}H{px(self._right)}" for value, _ in self._chart.y.marks)
        yield f'<path class="rules" d="{lines}"/>'
        for value, text in self._chart.y.marks:
            yield f'<text class="y" x="{px(self._left - 8)}" y="{px(self._y(value) + 4)}">{escaped(text)}</text>'

    def _names(self) -> Iterator[str]:
        """The names on the x axis; those that would touch the one before are left out."""
        free = 0.0
        for value, text in self._chart.x.marks:
            half = _CHARACTER * max(map(len, text.split("\n"))) / 2
            middle = min(max(self._x(value), half), self._width - half)
            if middle - half < free:
                continue
            free = middle + half + _CHARACTER
            for row, line in enumerate(text.split("\n")):
                y = self._bottom + 6 + _LINE_HEIGHT * (row + 1) - 2
                yield f'<text class="x" x="{px(middle)}" y="{px(y)}">{escaped(line)}</text>'

    def _notes(self) -> Iterator[str]:
        """Invisible columns that reach half-way to their neighbours, so that one need not aim at a point."""
        if not self._chart.notes:
            return
        places = [self._x(at) for at, _ in self._chart.notes]
        edges = [self._left, *((one + other) / 2 for one, other in pairwise(places)), self._right]
        for (start, end), place, (_, text) in zip(pairwise(edges), places, self._chart.notes, strict=True):
            yield (
                f'<g class="note"><rect x="{px(start)}" y="{_TOP}" width="{px(max(0.0, end - start))}" '
                f'height="{px(self._bottom - _TOP)}"/><path d="M{px(place)} {_TOP}V{px(self._bottom)}"/>'
                f"<title>{escaped(text)}</title></g>"
            )

    def _events(self) -> Iterator[str]:
        for at, colour in self._chart.events:
            x = px(self._x(at))
            yield f'<path class="event l{colour % COLOURS}" d="M{x} {_TOP}V{px(self._bottom)}"/>'

    def _spot(self, mark: Mark, shift: float) -> Spot:
        value, low, high = map(self._y, mark.figure)
        return Spot(self._x(mark.at) + shift, value, low, high)

    def _trace(self, place: int, trace: Trace) -> str:
        count = len(self._chart.traces)
        shift = (place - (count - 1) / 2) * _DODGE if self._chart.dodge else 0.0
        pieces = [[self._spot(mark, shift) for mark in piece] for piece in _pieces(trace.marks)]
        number = sum(map(len, pieces))
        roomy = number * _MARKERS_FROM <= self._right - self._left
        parts = []
        if roomy:
            bars = "".join(f"M{px(x)} {px(low)}V{px(high)}" for piece in pieces for x, _, low, high in piece)
            parts.append(f'<path class="bars" d="{bars}"/>')
        else:
            parts += [f'<path class="band" d="{band(piece)}"/>' for piece in pieces]
        lines = "".join(polyline([(x, y) for x, y, *_ in piece]) for piece in pieces if len(piece) > 1)
        if lines:
            parts.append(f'<path class="line" d="{lines}"/>')
        # Those that no line reaches, and the last one, are seen however little room there is.
        marked = pieces if roomy else [piece for piece in pieces if len(piece) == 1] + [pieces[-1][-1:]]
        shapes = "".join(shape(trace.colour, x, y) for piece in marked for x, y, *_ in piece)
        parts.append(f'<path class="marks" d="{shapes}"/>')
        return f'<g class="trace l{trace.colour % COLOURS}">{"".join(parts)}</g>'


def _pieces(marks: Sequence[Mark | None]) -> list[list[Mark]]:
    """The marks between the breaks of a line."""
    pieces: list[list[Mark]] = [[]]
    for mark in marks:
        if mark is None:
            pieces.append([])
        else:
            pieces[-1].append(mark)
    return [piece for piece in pieces if piece]
