"""What a benchmark measures at several loads, against the load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runinference.metrics.measures import Measure
from runinference.report.markup import escaped, table
from runinference.report.website.archive import Section
from runinference.report.website.axes import Axis, value_axis
from runinference.report.website.chart import SMALL, Chart, Mark, Trace, draw
from runinference.report.website.glossary import address
from runinference.report.website.quantities import AT_LOAD, LATENCY, Measured, capitalized, measured
from runinference.report.website.sparkline import swatch
from runinference.report.website.words import amount, day, spread

_OFFERED = "offered_rate"
_SHARES = [(at, f"{at:g} %") for at in (0.0, 25.0, 50.0, 75.0, 100.0)]


@dataclass(frozen=True)
class Curve:
    """A quantity at several loads.

    Attributes:
        what: The part of its name before the load.
        unit: Its unit.
        engines: For each engine what its newest run measured: loads in percent with figures.
    """

    what: str
    unit: str
    engines: Mapping[str, Mapping[float, Measured]]

    @property
    def title(self) -> str:
        """What people call it."""
        latency = LATENCY.fullmatch(self.what)
        name = f"latency, p{latency[1]}" if latency else self.what.replace("_", " ")
        return f"{capitalized(name)}, against the load"


def load_curves(section: Section, own: Sequence[Measure], colours: Mapping[str, int]) -> list[str]:
    """A figure for each quantity that was measured at several loads, such as `latency_p99_ms_at_70_percent`.

    The load is the rate at which elements were offered where that was measured too, else its share of the highest rate.
    """
    curves = _curves(section, {measure.name: measure.unit for measure in own})
    offered = curves.pop(_OFFERED, None)
    # Latency first, by percentiles.
    return [_figure(section, curve, offered, colours) for _, curve in sorted(curves.items(), key=_latency_first)]


def _latency_first(item: tuple[str, Curve]) -> tuple[bool, float, str]:
    match = LATENCY.fullmatch(item[0])
    return match is None, float(match[1]) if match else 0.0, item[0]


def _curves(section: Section, units: Mapping[str, str]) -> dict[str, Curve]:
    found: dict[str, dict[str, dict[float, Measured]]] = {}
    unit_of: dict[str, str] = {}
    for engine in section.engines:
        stop = section.newest_stop(engine)
        for metric in stop.runs[engine].samples:
            match = AT_LOAD.fullmatch(metric)
            figure = measured(stop, engine, metric) if match else None
            if match and figure is not None:
                what = match["what"]
                found.setdefault(what, {}).setdefault(engine, {})[float(match["load"])] = figure
                unit_of[what] = units.get(metric, "ms" if LATENCY.fullmatch(what) else "")
    several = {what: engines for what, engines in found.items() if any(len(each) > 1 for each in engines.values())}
    return {what: Curve(what, unit_of[what], engines) for what, engines in several.items()}


def _figure(section: Section, curve: Curve, offered: Curve | None, colours: Mapping[str, int]) -> str:
    loads = sorted({load for figures in curve.engines.values() for load in figures})
    newest = ", ".join(sorted({day(section.newest_stop(engine).runs[engine]) for engine in curve.engines}))
    legend = "".join(f"<span>{swatch(colours[engine])}{escaped(engine)}</span>" for engine in curve.engines)
    chart = _chart(curve, offered, colours)
    rows = [
        [f"{load:g} %", *(_cell(figures.get(load), curve.unit) for figures in curve.engines.values())] for load in loads
    ]
    x = "elements offered per second" if _known(curve, offered) else "share of the highest rate"
    return (
        f'<figure id="{section.anchor}-{address(f"load-{curve.what}")}"><figcaption><b>{escaped(curve.title)}</b> '
        f'<span class="unit">{x}, newest run, {newest}</span><span class="legend">{legend}</span></figcaption>'
        f"{''.join(draw(chart, size, css) for css, size in SMALL.items())}<details><summary>Numbers</summary>"
        f"{table(('Load', *map(escaped, curve.engines)), rows, 'numbers')}</details></figure>"
    )


def _known(curve: Curve, offered: Curve | None) -> Mapping[str, Mapping[float, Measured]] | None:
    """The rates that were offered, if they are known for each figure."""
    if offered is None:
        return None
    known = all(load in offered.engines.get(engine, {}) for engine, each in curve.engines.items() for load in each)
    return offered.engines if known else None


def _chart(curve: Curve, offered: Curve | None, colours: Mapping[str, int]) -> Chart:
    rates = _known(curve, offered)
    traces, notes = [], []
    for engine, figures in curve.engines.items():
        marks = []
        for load, figure in sorted(figures.items()):
            at = rates[engine][load].value if rates else load
            marks.append(Mark(at, figure))
            rate = f", {amount(at, 'elements/s')}" if rates else ""
            notes.append((at, f"{engine} at {load:g} % load{rate}\n{amount(figure.value, curve.unit)}"))
        traces.append(Trace(engine, colours[engine], sorted(marks)))
    values = [mark.figure for trace in traces for mark in trace.marks if mark is not None]
    highest = max(at for at, _ in notes)
    x = value_axis(0.0, highest, "elements/s", 4) if rates else Axis(0.0, max(100.0, highest), _SHARES)
    y = value_axis(min(0.0, *(each.low for each in values)), max(each.high for each in values), curve.unit)
    return Chart(traces, x, y, f"{curve.title}: {', '.join(curve.engines)}", sorted(notes))


def _cell(figure: Measured | None, unit: str) -> str:
    if figure is None:
        return "–"
    between = spread(figure, unit)
    return f"{escaped(amount(figure.value, unit))}{f' <small>{escaped(between)}</small>' if between else ''}"
