"""What changed, as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from runinference.report.markup import escaped
from runinference.report.website.archive import Section
from runinference.report.website.changes import Change
from runinference.report.website.link import Link
from runinference.report.website.quantities import RUN_TIME, quantity, samples
from runinference.report.website.sparkline import sparkline
from runinference.report.website.words import amount, day, percent, release, work_title

_RUNS_AROUND = 30
_TREND = (220, 48)


def change_list(changes: Sequence[Change], links: Mapping[str, Link], colours: Mapping[str, int], most: int) -> str:
    """What got slower or faster, as a list.

    Args:
        changes: The changes, the newest first.
        links: The page of each benchmark; without a title on its own page.
        colours: The number of the colour of each engine.
        most: How many are shown at once; the others are there when one asks.
    """
    items = [_change(change, links[change.section.benchmark], colours[change.engine]) for change in changes]
    more = ""
    if items[most:]:
        hidden = f"<ul>{''.join(items[most:])}</ul>"
        more = f"<details><summary>{len(items) - most:,} earlier changes</summary>{hidden}</details>"
    return f'<div class="changes"><ul>{"".join(items[:most])}</ul>{more}</div>'


def _change(change: Change, link: Link, colour: int) -> str:
    effect, section = change.effect, change.section
    word = "slower" if change.worse else "faster"
    what = word if change.metric == RUN_TIME else f"{'less' if change.worse else 'more'} throughput"
    ends = sorted((abs(effect.low - 1), abs(effect.high - 1)))
    interval = f"{ends[0] * 100:.2g} to {ends[1] * 100:.2g} %"
    about = " · ".join(escaped(text) for text in (link.title, change.engine) if text)
    before, after = (escaped(release(run)) for run in (change.before, change.after))
    facts = [
        f"since <time>{day(change.after)}</time>",
        f"{before} → {after}" if before != after else f"{after} as before",
        f"95&nbsp;% interval {interval}",
        *([] if change.confirmed else ["seen in one run so far"]),
        *([f"so did {' and '.join(map(escaped, change.also))}"] if change.also else []),
    ]
    return (
        f'<li class="{word}"><p class="effect"><b>{percent(effect.ratio)}</b> {what}</p>'
        f'<div><p class="about"><a href="{link.address}#{section.anchor}">{about}</a> '
        f'<small>{escaped(_title(section))}</small></p><p class="facts">{_unbroken(facts)}</p>'
        f'<p class="values">{_unbroken(_values(change))}</p></div>{_trend(change, colour)}</li>'
    )


def _unbroken(parts: Sequence[str]) -> str:
    """Parts with dots between them, each in one line."""
    return " · ".join(f"<span>{part}</span>" for part in parts)


def _trend(change: Change, colour: int) -> str:
    """The line around the change."""
    stops = [stop for stop in change.section.line(change.engine) if samples(stop.runs[change.engine], change.metric)]
    first = next(place for place, stop in enumerate(stops) if stop.runs[change.engine] is change.after)
    start = max(0, first - _RUNS_AROUND)
    shown = [median(samples(stop.runs[change.engine], change.metric)) for stop in stops[start : first + _RUNS_AROUND]]
    return sparkline(shown, colour, f"The {len(shown)} runs around it", first - start, _TREND)


def _title(section: Section) -> str:
    host = section.machine[0]
    return f"{work_title(section)}{f' · {host}' if host else ''}"


def _values(change: Change) -> list[str]:
    texts = []
    for metric, effect in change.effects.items():
        shown = quantity(metric)
        assert shown is not None
        before, after = amount(effect.before, shown.unit), amount(effect.after, shown.unit)
        texts.append(escaped(f"{shown.title.lower()} {before} → {after}"))
    return texts + [escaped(text) for text in change.versions()]
