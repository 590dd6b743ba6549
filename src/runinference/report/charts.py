"""The charts of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from runinference.metrics.snapshot import human
from runinference.report.histogram import Bar
from runinference.report.svg import COLOURS, new_figure, to_svg
from runinference.report.timeline import Point

WIDE: Final = (980, 210)
NARROW: Final = (380, 210)
LOW: Final = 120
_STEP_PX: Final = 8
_FEWEST_STEPS: Final = 4
_CALLS_PER_STEP: Final = 4
_MOST_LABELS: Final = 6


def throughput(points: Sequence[Point], size: tuple[int, int], name: str) -> str | None:
    """Rows per second over time, with those that failed; `None` where a run was too short to tell."""
    # Rows come by the batch: steps that are shorter than that would show nothing but when each came.
    calls = points[-1].calls if points else 0
    steps = _steps(points, min(size[0] // _STEP_PX, max(2 * _FEWEST_STEPS, calls // 2)))
    if len(steps) < _FEWEST_STEPS or steps[-1].done + steps[-1].failed == 0:
        return None
    done, failed = (_rates(steps, [point[field] for point in steps]) for field in (1, 2))
    average = (steps[-1].done + steps[-1].failed) / steps[-1].elapsed_s
    figure, axes = new_figure(*size, name)
    _draw(axes, steps, done, "series")
    if any(failed):
        # Steps in which nothing failed are left out, so that the line is where failures are.
        edges = [point.elapsed_s for point in steps]
        shown = [rate or math.nan for rate in failed]
        axes.stairs(shown, edges, baseline=None, color=COLOURS["bad"], linewidth=2)
    axes.axhline(average, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(0, 1.08 * max(*done, *failed, average))
    _time_axis(axes, size)
    _ticks(axes.yaxis, _short, 4)
    return to_svg(figure, name, f"Rows per second over time; {human(average, 'rows/s')} on average")


def model_busy(points: Sequence[Point], lanes: int, size: tuple[int, int], name: str) -> str | None:
    """The share of the time in which the model ran, over time; `None` where it was called too rarely to tell."""
    calls = points[-1].calls if points else 0
    steps = _steps(points, min(size[0] // _STEP_PX, calls // _CALLS_PER_STEP))
    if len(steps) < _FEWEST_STEPS:
        return None
    shares = busy_shares(steps, lanes)
    figure, axes = new_figure(*size, name)
    _draw(axes, steps, shares, "series")
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    _time_axis(axes, size)
    return to_svg(figure, name, "Share of the time in which the model ran, over time")


def distribution(bars: Sequence[Bar], unit: str, name: str, description: str) -> str | None:
    """Bars, labelled with the values where each stands for one, else with the ends of their ranges."""
    if not bars:
        return None
    figure, axes = new_figure(*NARROW, name)
    places = range(len(bars))
    axes.bar(places, [bar.batches for bar in bars], width=0.86, color=COLOURS["series"], linewidth=0)
    axes.set_xlim(-0.6, max(len(bars), 4) - 0.4)
    if all(bar.low == bar.high for bar in bars):
        shown = places[:: -(-len(bars) // _MOST_LABELS)]
        axes.set_xticks(list(shown), [_label(bars[place].high, unit) for place in shown])
    else:
        shown = range(0, len(bars) + 1, len(bars) // 4 or 1)
        edges = [bars[0].low, *(bar.high for bar in bars)]
        axes.set_xticks([place - 0.5 for place in shown], [_label(edges[place], unit) for place in shown])
    axes.tick_params(axis="x", length=0, pad=6)
    _ticks(axes.yaxis, _short, 4)
    return to_svg(figure, name, description)


def _steps(points: Sequence[Point], most: int) -> list[Point]:
    """About `most` of the points at equal distances, and the last one; each later than the one before."""
    if not points or most < 1:
        return []
    every = -(-len(points) // most)
    chosen = [*points[::every], points[-1]]
    ends = [point.elapsed_s for point in chosen]
    if len(ends) > 2 and ends[-1] - ends[-2] < 0.5 * (ends[1] - ends[0]):
        del chosen[-2]  # A last step that is short would make a spike of what little happened in it.
    return chosen[:1] + [later for earlier, later in pairwise(chosen) if later.elapsed_s > earlier.elapsed_s]


def busy_shares(steps: Sequence[Point], lanes: int) -> list[float]:
    """The share of each step in which the model ran.

    The time of a call is known at its end. What a step seems to have more than it is long belongs to those before it.
    """
    shares: list[float] = []
    excess = 0.0
    for earlier, later in reversed(list(pairwise(steps))):
        room = (later.elapsed_s - earlier.elapsed_s) * lanes
        busy = later.model_s - earlier.model_s + excess
        shares.append(min(1.0, busy / room))
        excess = max(0.0, busy - room)
    return shares[::-1]


def _rates(steps: Sequence[Point], values: Sequence[float]) -> list[float]:
    """How fast values grow, in each step."""
    spans = [later.elapsed_s - earlier.elapsed_s for earlier, later in pairwise(steps)]
    changes = [later - earlier for earlier, later in pairwise(values)]
    return [change / span for change, span in zip(changes, spans, strict=True)]


def _draw(axes: Any, steps: Sequence[Point], values: Sequence[float], colour: str) -> None:
    edges = [point.elapsed_s for point in steps]
    axes.stairs(values, edges, fill=True, color=COLOURS[colour], alpha=0.16)
    axes.stairs(values, edges, baseline=None, color=COLOURS[colour], linewidth=1.8)
    axes.set_xlim(0, edges[-1])


def _time_axis(axes: Any, size: tuple[int, int]) -> None:
    _ticks(axes.xaxis, _time, size[0] // 90, [1, 2, 3, 6, 10])


def _ticks(axis: Any, text: Callable[[float], str], most: int, steps: Sequence[float] = (1, 2, 2.5, 5, 10)) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(max(3, most), steps=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))


def _label(value: float, unit: str) -> str:
    return _short(round(value)) if unit == "rows" else human(value, unit)


def _short(value: float) -> str:
    """A number in few characters: `1.2M`, `20k`, `350`."""
    for least, factor, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / factor:.4g}{letter}"
    return f"{value:,.4g}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d} min"
