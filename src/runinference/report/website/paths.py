"""Shapes of charts as paths of SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

COLOURS: Final = 8
"""How many colours of lines there are; then they begin again."""


class Spot(NamedTuple):
    """A value on a canvas, with the smallest and the largest of what it is the median of."""

    x: float
    y: float
    low: float
    high: float


_CORNERS: Final = (
    ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
    ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)),
    ((0.0, -1.15), (1.15, 0.85), (-1.15, 0.85)),
)


def shape(colour: int, x: float, y: float, size: float = 3.4) -> str:
    """The path of a mark. Lines have marks of different shapes, for those who do not tell their colours apart."""
    kind = colour % (1 + len(_CORNERS))
    if kind == 0:
        arc = f"a{px(size)} {px(size)} 0 1 0"
        return f"M{px(x - size)} {px(y)}{arc} {px(2 * size)} 0{arc} {px(-2 * size)} 0z"
    return polyline([(x + size * right, y + size * down) for right, down in _CORNERS[kind - 1]]) + "z"


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """The path of a line through points."""
    return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points)


def band(spots: Sequence[Spot]) -> str:
    """The path of the area between the smallest and the largest values."""
    there = [(spot.x, spot.low) for spot in spots]
    back = [(spot.x, spot.high) for spot in reversed(spots)]
    return polyline([*there, *back]) + "z"


def px(number: float) -> str:
    """A tenth of a pixel is enough."""
    text = f"{number:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")
