"""The front page: what changed, and how fast everything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runinference.report.markup import escaped, section
from runinference.report.website.archive import Archive
from runinference.report.website.case import Case
from runinference.report.website.change_list import change_list
from runinference.report.website.changes import Change
from runinference.report.website.description import first_sentence
from runinference.report.website.link import Link
from runinference.report.website.newest import newest_figures
from runinference.report.website.unfinished import unfinished_table
from runinference.report.website.words import day, machine, work_title

_MOST_CHANGES = 10
_MOST_UNFINISHED = 20


def front_page(
    archive: Archive,
    cases: Mapping[str, Case],
    changes: Sequence[Change],
    links: Mapping[str, Link],
    colours: Mapping[str, int],
) -> str:
    """What is between the head and the foot of the page.

    Args:
        archive: All runs.
        cases: What each benchmark is, by its name.
        changes: What changed, the newest first.
        links: The page of each benchmark.
        colours: The number of the colour of each engine.
    """
    sections = [each for history in archive.histories.values() for each in history.sections]
    unfinished = [run for history in archive.histories.values() for run in history.unfinished]
    unfinished.sort(key=lambda run: -run.info.started)
    parts = [
        _changed(changes, links, colours) if sections else _nothing(),
        _figures(archive, links, colours) if sections else "",
        section(
            "Runs that did not finish",
            unfinished_table(unfinished, links, _MOST_UNFINISHED),
            '<p class="note">None of them is in a chart or a figure.</p>' if unfinished else "",
        ),
        _not_run(archive, cases, links),
    ]
    return "\n".join(part for part in parts if part)


def summary(archive: Archive) -> str:
    """What there is, in one line of HTML."""
    runs = [run for history in archive.histories.values() for run in history.runs]
    parts = [f"{_count(len(runs), 'run')} of {_count(len(archive.histories), 'benchmark')}" if runs else "No runs yet"]
    if runs:
        newest = max(runs, key=lambda run: run.info.started)
        parts.append(f"the newest of <time>{day(newest)}</time>")
    if archive.others:
        verb = "is no benchmark and is" if archive.others == 1 else "are no benchmarks and are"
        parts.append(f"{_count(archive.others, 'other run')} {verb} not shown")
    return " · ".join(parts)


def _changed(changes: Sequence[Change], links: Mapping[str, Link], colours: Mapping[str, int]) -> str:
    if not changes:
        body = "<p>Nothing: no line has a change of 5&nbsp;% or more that noise does not explain.</p>"
    else:
        body = change_list(changes, links, colours, _MOST_CHANGES)
    how = '<a href="glossary.html#reading">how changes are found</a>'
    return section("What got slower or faster", body, f'<p class="note">Per cent of the run time · {how}</p>')


def _figures(archive: Archive, links: Mapping[str, Link], colours: Mapping[str, int]) -> str:
    rows = []
    for name, history in archive.histories.items():
        for each in history.sections:
            about = f"{escaped(work_title(each))} <small>{escaped(machine(each))}</small>"
            rows.append(
                (f'<a href="{links[name].address}#{each.anchor}">{escaped(links[name].title)}</a> {about}', each)
            )
    note = (
        '<p class="note">Medians of the passes of the newest run, with the smallest and the largest. Against Beam’s '
        "own: how many times as fast as Beam’s RunInference in the same run. "
        '<a href="glossary.html">What each of them is</a></p>'
    )
    return section("Benchmarks", newest_figures(rows, colours), note)


def _nothing() -> str:
    return section(
        "No runs yet",
        "<p>Here will be what got slower or faster, and how fast everything is, when there are complete runs of "
        "benchmarks:</p><pre>runinference bench run all\nruninference report benchmarks.sqlite -o site</pre>",
    )


def _not_run(archive: Archive, cases: Mapping[str, Case], links: Mapping[str, Link]) -> str:
    items = []
    for name, case in cases.items():
        if name not in archive.histories:
            why = f"cannot run yet: {case.missing}" if case.missing is not None else first_sentence(case.description)
            link = links[name]
            items.append(f'<li><a href="{link.address}">{escaped(link.title)}</a> <small>{escaped(why)}</small></li>')
    return section("Benchmarks without runs", f'<ul class="plain">{"".join(items)}</ul>' if items else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
