"""The newest figures of engines, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runinference.report.markup import escaped
from runinference.report.website.archive import PEER, Section
from runinference.report.website.quantities import COST, RUN_TIME, SPEED_UP, THROUGHPUT, Quantity, measured, quantity
from runinference.report.website.sparkline import sparkline, swatch
from runinference.report.website.words import amount, day, release, spread

_COLUMNS = (RUN_TIME, THROUGHPUT, COST, SPEED_UP.name)
_HEAD = (
    "Engine",
    "Run time",
    "Elements per second",
    "Cost per million",
    "Against Beam’s own",
    "Run time, trend",
    "Newest run",
)


def newest_figures(sections: Iterable[tuple[str, Section]], colours: Mapping[str, int]) -> str:
    """A table with a row for each engine of each section.

    Args:
        sections: Sections, each below a heading that is HTML; without one where it is empty.
        colours: The number of the colour of each engine.
    """
    head = "".join(f'<th scope="col">{cell}</th>' for cell in _HEAD)
    bodies = []
    for heading, section in sections:
        rows = "".join(_row(section, engine, colours[engine]) for engine in section.engines)
        title = f'<tr class="heading"><th scope="rowgroup" colspan="{len(_HEAD)}">{heading}</th></tr>'
        bodies.append(f"<tbody>{title if heading else ''}{rows}</tbody>")
    return f'<table class="figures"><thead><tr>{head}</tr></thead>{"".join(bodies)}</table>'


def _row(section: Section, engine: str, colour: int) -> str:
    stop = section.newest_stop(engine)
    cells = []
    for label, metric in zip(_HEAD[1:5], _COLUMNS, strict=True):
        shown, figure = quantity(metric), measured(stop, engine, metric)
        if shown is None or figure is None:
            cells.append(f'<td data-label="{label}" class="none">{"1×" if _is_peer(metric, engine) else "–"}</td>')
            continue
        between = spread(figure, shown.unit) if metric in (RUN_TIME, SPEED_UP.name) else ""
        value = _without_unit(figure.value, shown)
        small = f"<small>{escaped(between)}</small>" if between else ""
        cells.append(f'<td data-label="{label}"><b>{escaped(value)}</b>{small}</td>')
    trend = [figure.value for each in section.line(engine) if (figure := measured(each, engine, RUN_TIME))]
    told = f"Run time of {engine} over {len(trend)} runs"
    spark = sparkline(trend, colour, told) if trend else ""
    run = stop.runs[engine]
    return (
        f'<tr><th scope="row">{swatch(colour)}{escaped(engine)}</th>{"".join(cells)}<td class="trend">{spark}</td>'
        f'<td class="when"><time>{day(run)}</time><small>{escaped(release(run))}</small></td></tr>'
    )


def _is_peer(metric: str, engine: str) -> bool:
    return metric == SPEED_UP.name and engine == PEER


def _without_unit(value: float, shown: Quantity) -> str:
    return amount(value, "") if shown.metric == THROUGHPUT else amount(value, shown.unit)
