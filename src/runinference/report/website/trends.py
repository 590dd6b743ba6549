"""Charts of a quantity over dates and over versions, with the numbers below them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from runinference.report.markup import escaped, table
from runinference.report.website.archive import Section, Stop
from runinference.report.website.axes import Axis, time_axis, value_axis
from runinference.report.website.changes import Change
from runinference.report.website.chart import LARGE, SMALL, Chart, Mark, Trace, draw
from runinference.report.website.glossary import address
from runinference.report.website.quantities import Measured, Quantity, measured
from runinference.report.website.sparkline import swatch
from runinference.report.website.words import amount, commit, day, minute, release, spread, started, version

_MOST_ROWS: Final = 60
_MOST_NOTES_IN_SMALL: Final = 60
_LABEL_PX: Final = 80
_TOLD_BY_THE_AXIS: Final = {"s", "ms", "µs", "bytes", "bytes/s", "USD", "ratio", "times", "%"}


@dataclass(frozen=True)
class Group:
    """Stops that have one place on the x axis.

    Attributes:
        at: Its place.
        title: What it is called, in a note.
        label: What it is called, on the axis.
        stops: What is there; the figures of several are taken together.
    """

    at: float
    title: str
    label: str
    stops: Sequence[Stop]

    def measured(self, engine: str, metric: str) -> Measured | None:
        """A quantity of an engine: the median of its runs, the smallest and the largest value of all."""
        found = [figure for stop in self.stops if (figure := measured(stop, engine, metric)) is not None]
        if not found:
            return None
        values, lows, highs = zip(*found, strict=True)
        return Measured(median(values), min(lows), max(highs))


@dataclass(frozen=True)
class View:
    """How the runs of a section are lined up.

    Attributes:
        css: The class of the charts, by which the page shows them or hides them.
        said: How a description ends.
        groups: What is on the x axis.
    """

    css: str
    said: str
    groups: Sequence[Group]

    def x_axis(self, width: int) -> Axis:
        """The x axis of a chart of that width."""
        if self.css == "by-date":
            return time_axis(self.groups[0].at, self.groups[-1].at, max(2, width // _LABEL_PX))
        every = -(-len(self.groups) * _LABEL_PX // width)
        marks = [(group.at, group.label) for group in self.groups[::-1][::every]][::-1]
        return Axis(-0.5, len(self.groups) - 0.5, marks)


def views(section: Section) -> list[View]:
    """The runs of a section by date, and by version and commit in the order in which these were first run."""
    by_date = [Group(started(stop.first), _stop_title(stop), "", [stop]) for stop in section.stops]
    releases: dict[tuple[str, str], list[Stop]] = {}
    for stop in section.stops:
        releases.setdefault((version(stop.first), commit(stop.first)), []).append(stop)
    by_version = [
        Group(place, f"{' '.join(release).strip()}, {_count(stops)}", "\n".join(filter(None, release)), stops)
        for place, (release, stops) in enumerate(releases.items())
    ]
    return [View("by-date", "by date", by_date), View("by-version", "by version and commit", by_version)]


def figure(
    section: Section, shown: Quantity, changes: Iterable[Change], colours: Mapping[str, int], *, large: bool
) -> str:
    """A quantity of a section as HTML: its title, its charts, its numbers; none where nobody measured it."""
    engines = [
        engine for engine in section.engines if any(measured(stop, engine, shown.metric) for stop in section.stops)
    ]
    if not engines:
        return ""
    events = [change for change in changes if shown.metric in change.effects]
    drawn = "".join(
        f'<div class="{view.css}">{_charts(view, shown, engines, events, colours, LARGE if large else SMALL)}</div>'
        for view in views(section)
    )
    legend = "".join(f"<span>{swatch(colours[engine])}{escaped(engine)}</span>" for engine in engines)
    name = f"{section.anchor}-{address(shown.metric)}"
    return (
        f'<figure id="{name}"{" class=large" if large else ""}><figcaption><b>{escaped(shown.title)}</b> '
        f'<span class="unit">{_hint(shown)}</span><span class="legend">{legend}</span></figcaption>{drawn}'
        f"<details><summary>Numbers</summary>{_numbers(section, shown, engines)}</details></figure>"
    )


def _hint(shown: Quantity) -> str:
    """The unit, which way is better, and where the definition is."""
    unit = "" if shown.unit in _TOLD_BY_THE_AXIS else shown.unit
    better = {"lower": "lower is better", "higher": "higher is better"}.get(shown.better or "", "")
    words = ", ".join(escaped(word) for word in (unit, better) if word)
    if shown.entry is None:
        return words
    return f'{words}{" · " if words else ""}<a href="../glossary.html#{address(shown.entry)}">definition</a>'


def _charts(
    view: View,
    shown: Quantity,
    engines: Sequence[str],
    changes: Sequence[Change],
    colours: Mapping[str, int],
    sizes: Mapping[str, tuple[int, int]],
) -> str:
    traces = []
    for engine in engines:
        # Where an engine did not run at all its line goes on; where it ran without this being measured, it breaks.
        groups = [group for group in view.groups if any(engine in stop.runs for stop in group.stops)]
        figures = [(group.at, group.measured(engine, shown.metric)) for group in groups]
        traces.append(
            Trace(engine, colours[engine], [None if value is None else Mark(at, value) for at, value in figures])
        )
    all_marks = [mark.figure for trace in traces for mark in trace.marks if mark is not None]
    y = value_axis(min(mark.low for mark in all_marks), max(mark.high for mark in all_marks), shown.unit)
    # A pointer can rest on each of hundreds of runs in a large chart, on fewer in a small one; a phone has no pointer.
    noted = {"wide", "medium", *(["small"] if len(view.groups) <= _MOST_NOTES_IN_SMALL else [])} & set(sizes)
    notes = [(group.at, _note(group, shown, engines)) for group in view.groups] if noted else []
    return "".join(
        draw(
            Chart(
                traces,
                view.x_axis(size[0]),
                y,
                f"{shown.title} {view.said}: {', '.join(engines)}",
                notes if css in noted else (),
                [(_place(view, change), colours[change.engine]) for change in changes],
                dodge=view.css == "by-version" or len(view.groups) == 1,
            ),
            size,
            css,
        )
        for css, size in sizes.items()
    )


def _place(view: View, change: Change) -> float:
    """Where a change is: where the first run after it is."""
    return next(
        group.at for group in view.groups if any(stop.runs.get(change.engine) is change.after for stop in group.stops)
    )


def _note(group: Group, shown: Quantity, engines: Sequence[str]) -> str:
    lines = [group.title]
    for engine in engines:
        figure = group.measured(engine, shown.metric)
        if figure is not None:
            between = spread(figure, shown.unit)
            lines.append(f"{engine}: {amount(figure.value, shown.unit)}{f' ({between})' if between else ''}")
    return "\n".join(lines)


def _numbers(section: Section, shown: Quantity, engines: Sequence[str]) -> str:
    rows = []
    for stop in section.stops[::-1][:_MOST_ROWS]:
        figures = [measured(stop, engine, shown.metric) for engine in engines]
        if any(figures):
            first = stop.first
            cells = [_cell(figure, shown.unit) for figure in figures]
            rows.append([f"<time>{minute(first)}</time>", escaped(release(first)), *cells])
    more = len(section.stops) - _MOST_ROWS
    rest = f'<p class="note">and {more:,} earlier ones, which are in the raw data</p>' if more > 0 else ""
    return table(("Run (UTC)", "Version", *map(escaped, engines)), rows, "numbers") + rest


def _cell(figure: Measured | None, unit: str) -> str:
    if figure is None:
        return "–"
    between = spread(figure, unit)
    return f"{escaped(amount(figure.value, unit))}{f' <small>{escaped(between)}</small>' if between else ''}"


def _stop_title(stop: Stop) -> str:
    return f"{day(stop.first)}, {release(stop.first)}"


def _count(stops: Sequence[Stop]) -> str:
    return "1 run" if len(stops) == 1 else f"{len(stops):,} runs"
