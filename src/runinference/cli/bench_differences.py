"""What two sets of runs have different, as lines of at most 80 columns for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from runinference.benchmarks.compare import TOO_FEW
from runinference.benchmarks.pairs import machine_of, title_of
from runinference.metrics.snapshot import human

if TYPE_CHECKING:
    from runinference.benchmarks.compare import Row
    from runinference.benchmarks.pairs import Pairs, Unpaired
    from runinference.metrics.history import Run

Line = tuple[str, str]
"""A text and the style that it has on a terminal; none is empty."""

_WIDTH = 80
_HEAD = ("engine", "A", "B", "difference (95 %)", "verdict")
_STYLES = {"slower": "red", "worse": "red", "faster": "green", "better": "green"}
_OTHERS_SHOWN = 10
_BETTER = {"lower": "lower is better", "higher": "higher is better", None: "neither way is better"}


def lines_of(a: str, b: str, pairs: Pairs, rows: Sequence[Row], threshold: float) -> list[Line]:
    """The whole comparison.

    Args:
        a: What the user called the one side.
        b: What the user called the other.
        pairs: The runs.
        rows: What was found.
        threshold: Beyond which share a metric counts as worse.
    """
    lines = list(_sides(a, b, pairs))
    for measure, of_metric in groupby(rows, key=lambda row: row.measure):
        told = measure.label if measure.label == measure.name else f"{measure.label} ({measure.name})"
        unit = f" in {measure.unit}" if measure.unit else ""
        lines += [("", ""), (f"{told}{unit}, {_BETTER[measure.better]}", "bold")]
        lines += _table(list(of_metric))
    return [*lines, ("", ""), *_others(pairs), *_end(rows, threshold)]


def _sides(a: str, b: str, pairs: Pairs) -> Iterator[Line]:
    runs_of_a, runs_of_b = [pair[0] for pair in pairs.pairs], [pair[1] for pair in pairs.pairs]
    machines = [list(dict.fromkeys(machine_of(run) for run in runs)) for runs in (runs_of_a, runs_of_b)]
    yield from _wrapped(f"A        {a}  ({_when(runs_of_a)})", "")
    yield from _wrapped(f"B        {b}  ({_when(runs_of_b)})", "")
    if machines[0] == machines[1]:
        yield from _wrapped(f"Machine  {'; '.join(machines[0])}", "")
    else:
        yield from _wrapped(f"Machines A: {'; '.join(machines[0])}. B: {'; '.join(machines[1])}", "yellow")


def _when(runs: Sequence[Run]) -> str:
    days = sorted({datetime.fromtimestamp(run.info.started, UTC).strftime("%Y-%m-%d") for run in runs})
    commits = list(dict.fromkeys(run.info.commit[:7] for run in runs if run.info.commit))
    told = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    if not commits:
        return told
    return f"{told}, commit {commits[0]}" if len(commits) == 1 else f"{told}, {len(commits)} commits"


def _table(rows: Sequence[Row]) -> Iterator[Line]:
    """The rows of a metric, below the work that they are of."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(row[column]) for row in [_HEAD, *cells]) for column in range(len(_HEAD) - 1)]
    yield _joined(_HEAD, widths), "dim"
    for title, group in groupby(zip(rows, cells, strict=True), key=lambda each: title_of(each[0].b)[0]):
        yield from _wrapped(title, "")
        for row, cell in group:
            yield _joined(cell, widths), _STYLES.get(row.verdict, "")


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    engine, a, b, difference, verdict = cells
    first, second, third, fourth = widths
    return f"  {engine:<{first}}  {a:>{second}}  {b:>{third}}  {difference:<{fourth}}  {verdict}".rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    name, unit = row.measure.name, row.measure.unit
    a, b = (_median(run.samples.get(name, ()), unit) for run in (row.a, row.b))
    return row.b.info.engine, a, b, _difference(row), f"{row.verdict} !" if row.worse else row.verdict


def _difference(row: Row) -> str:
    if row.ratio is None:
        return "–"
    middle = f"{100 * (row.ratio.value - 1):+.1f} %"
    if row.ratio.low is None or row.ratio.high is None:
        return middle
    return f"{middle} ({100 * (row.ratio.low - 1):+.1f}…{100 * (row.ratio.high - 1):+.1f})"


def _median(samples: Sequence[float], unit: str) -> str:
    if not samples:
        return "–"
    value = median(samples)
    if unit == "s" and value >= 60:
        # Minutes and seconds would be harder to compare.
        return f"{value:,.1f} s" if value < 1000 else f"{value:,.0f} s"
    if unit in {"s", "ms", "µs", "bytes"}:
        return human(value, unit)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _others(pairs: Pairs) -> Iterator[Line]:
    yield from _listed("Did not take part", pairs.incomplete)
    yield from _listed("Not compared", pairs.unpaired)


def _listed(heading: str, others: Sequence[Unpaired]) -> Iterator[Line]:
    if not others:
        return
    yield f"{heading}:", "bold"
    for each in others[:_OTHERS_SHOWN]:
        yield from _wrapped(f"  {each.side}: {', '.join(title_of(each.run))} {each.reason}", "")
    if len(others) > _OTHERS_SHOWN:
        yield f"  … and {len(others) - _OTHERS_SHOWN:,} others", ""
    yield "", ""


def _end(rows: Sequence[Row], threshold: float) -> Iterator[Line]:
    worse = sum(row.worse for row in rows)
    if any(row.verdict == TOO_FEW for row in rows):
        yield "Too few samples: there is one on a side, so no interval.", ""
    limit = f"{100 * threshold:g} %"
    if worse:
        yield f"Worse by more than {limit} (marked !): {worse:,} of {len(rows):,}.", "bold red"
    else:
        yield f"Nothing is worse by more than {limit}.", "bold"


def _wrapped(text: str, style: str) -> Iterator[Line]:
    for line in textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_on_hyphens=False):
        yield line, style
