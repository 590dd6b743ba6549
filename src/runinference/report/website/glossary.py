"""The page that says what every quantity is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from runinference.metrics.measures import MEASURES, Measure
from runinference.metrics.table import METRICS, MetricSpec
from runinference.report.markup import escaped, section
from runinference.report.website.case import Case
from runinference.report.website.description import to_html
from runinference.report.website.quantities import SPEED_UP, capitalized, own_entry

_STATISTICS = """
Metrics of kind *distribution* keep many values, and are stored as several numbers: `NAME_COUNT`, `NAME_SUM`,
`NAME_MIN`, `NAME_MAX`, `NAME_MEAN`, and the percentiles `NAME_P50`, `NAME_P95` and `NAME_P99`, which are at most 2 %
off.
"""
_READING = f"""
A run makes several passes over the same elements, in turns with the other engines, after one to warm up. A point of a
chart is the median of the passes of one run; its bar, or the band around the line, reaches from the smallest to the
largest. By version, the runs of one version and commit are one point.

A line joins runs of the same work (model, number of elements, options), engine, device and machine (host, processor,
cores, memory). Two machines are never joined, nor held against each other.

What got slower or faster is found in the medians of the runs of a line: where the mean of their logarithms changes by
at least 5 %, and by more than the noise between runs explains, by Student's t. Noise alone still looks like a change in
about one of a hundred lines. Single slow runs among others are no change; the last run or the last two are shown when
they stand out from all before them, and may yet turn out to be an accident. The 95 % interval is of the ratio between
the mean since the change and the mean between it and the change before.

`{SPEED_UP.name}` compares engines within one run only, so that what slows down the whole machine does not matter to it.
"""


def address(name: str) -> str:
    """The name of a quantity as part of an address. Names that differ have addresses that do."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return name
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:60]
    return f"{plain}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")


def glossary(cases: Iterable[Case]) -> str:
    """The sections of the page."""
    parts = [
        f'<div id="reading">{section("How to read the charts", to_html(_READING))}</div>',
        _entries("Measures of a run", [_measure(measure, measure.name) for measure in (*MEASURES.values(), SPEED_UP)]),
    ]
    for case in cases:
        own = [_measure(measure, own_entry(case.name, measure.name)) for measure in case.measures]
        parts.append(_entries(f"Measures of {case.title} alone", own))
    groups: dict[str, list[str]] = {}
    for spec in METRICS.values():
        groups.setdefault(spec.group, []).append(_metric(spec))
    parts.append(section("Metrics of the engine", to_html(_STATISTICS)))
    parts += [_entries(capitalized(name), entries) for name, entries in groups.items()]
    return "".join(parts)


def _entries(title: str, entries: Sequence[str]) -> str:
    return section(title, f'<dl class="glossary">{"".join(entries)}</dl>') if entries else ""


def _measure(measure: Measure, entry: str) -> str:
    better = {"lower": "lower is better", "higher": "higher is better"}.get(measure.better or "", "")
    return _entry(entry, measure.label, measure.name, [measure.unit, better], measure.help)


def _metric(spec: MetricSpec) -> str:
    label = spec.label or spec.name.replace("_", " ")
    return _entry(spec.name, label, spec.name, [spec.kind, spec.unit], spec.help)


def _entry(entry: str, label: str, name: str, facts: Sequence[str], text: str) -> str:
    told = " · ".join(escaped(fact) for fact in facts if fact)
    return (
        f'<div id="{address(entry)}"><dt><b>{escaped(capitalized(label))}</b><code>{escaped(name)}</code></dt>'
        f"<dd>{escaped(text)}<small>{told}</small></dd></div>"
    )
