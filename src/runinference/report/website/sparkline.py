"""Small drawings that stand in a line of text or a cell of a table."""

from __future__ import annotations

from collections.abc import Sequence

from runinference.report.markup import escaped
from runinference.report.website.axes import Axis
from runinference.report.website.paths import COLOURS, polyline, px, shape


def swatch(colour: int) -> str:
    """The line and the mark of a trace, for its legend."""
    return (
        f'<svg class="swatch l{colour % COLOURS}" viewBox="0 0 22 12" aria-hidden="true">'
        f'<path class="line" d="M1 6H21"/><path class="marks" d="{shape(colour, 11, 6)}"/></svg>'
    )


def sparkline(
    values: Sequence[float],
    colour: int,
    description: str,
    event: int | None = None,
    size: tuple[int, int] = (130, 32),
) -> str:
    """A trend in a few pixels.

    Args:
        values: The values, the oldest first.
        colour: Number of the colour of the line.
        description: What it shows, for those who cannot see it.
        event: Which of the values is the first after a change.
        size: Its width and height.
    """
    width, height = size
    ordered = sorted(values)
    # Some per cent of noise are to look small, and single spikes not to flatten the rest.
    low, high = ordered[len(values) // 20], ordered[-1 - len(values) // 20]
    rest = max(0.0, 0.15 * abs(high) - (high - low) / 2) or 1e-9
    axis = Axis(low - rest, high + rest, ())
    step = (width - 8) / max(1, len(values) - 1)
    start = 4.0 if len(values) > 1 else width - 4.0
    points = [
        (start + step * place, min(height - 4.0, max(4.0, axis.place(value, height - 6, 6))))
        for place, value in enumerate(values)
    ]
    x, y = points[-1]
    mark = "" if event is None else f'<path class="event" d="M{px(start + step * (event - 0.5))} 0V{height}"/>'
    return (
        f'<svg class="spark l{colour % COLOURS}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escaped(description)}">{mark}<path class="line" d="{polyline(points)}"/>'
        f'<circle class="marks" cx="{px(x)}" cy="{px(y)}" r="2.8"/></svg>'
    )
