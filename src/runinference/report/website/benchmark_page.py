"""The page of one benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runinference.report.markup import definitions, escaped, section, table
from runinference.report.website.archive import History, Section
from runinference.report.website.case import Case
from runinference.report.website.change_list import change_list
from runinference.report.website.changes import Change
from runinference.report.website.description import to_html
from runinference.report.website.glossary import address
from runinference.report.website.link import Link
from runinference.report.website.load_curves import load_curves
from runinference.report.website.newest import newest_figures
from runinference.report.website.quantities import (
    Quantity,
    large_quantities,
    measured,
    own_entry,
    quantity,
    small_quantities,
)
from runinference.report.website.trends import figure
from runinference.report.website.unfinished import unfinished_table
from runinference.report.website.words import (
    amount,
    day,
    machine,
    machine_pairs,
    told,
    work_pairs,
    work_title,
)

_MOST_CHANGES = 5
_MOST_UNFINISHED = 20
_CHOICE = """<form class="choice"><span>Charts by</span>
<label><input type="radio" name="axis" id="axis-date" checked> date</label>
<label><input type="radio" name="axis" id="axis-version"> version and commit</label></form>"""


def benchmark_page(
    case: Case, history: History, changes: Sequence[Change], colours: Mapping[str, int], data: str
) -> str:
    """What is between the head and the foot of the page.

    Args:
        case: What the benchmark is.
        history: Its runs.
        changes: What changed in them, the newest first.
        colours: The number of the colour of each engine.
        data: Address of the raw data.
    """
    parts = [_about(case, history, data)]
    if len(history.sections) > 1:
        parts.append(_contents(history.sections))
    if history.sections:
        parts.append(_CHOICE)
    parts += [_section(case, each, changes, colours) for each in history.sections]
    unfinished = unfinished_table(history.unfinished, {case.name: Link("", "")}, _MOST_UNFINISHED)
    parts.append(section("Runs that did not finish", unfinished))
    return "\n".join(part for part in parts if part)


def _about(case: Case, history: History, data: str) -> str:
    parts = [to_html(case.description)]
    if case.missing is not None:
        parts.append(f'<p class="missing">It cannot run yet: {escaped(case.missing)}</p>')
    elif not history.runs:
        parts.append(f"<p>There is no run of it yet: <code>runinference bench run {escaped(case.name)}</code></p>")
    else:
        count = f"{len(history.runs):,} runs" if len(history.runs) > 1 else "1 run"
        parts.append(f'<p class="note">{count} · <a href="{data}">raw data</a> (JSON)</p>')
    return f'<div class="lead">{"".join(parts)}</div>'


def _contents(sections: Sequence[Section]) -> str:
    items = "".join(
        f'<li><a href="#{each.anchor}">{escaped(work_title(each))}</a> <small>{escaped(machine(each))}</small></li>'
        for each in sections
    )
    return f'<nav class="contents"><ul>{items}</ul></nav>'


def _section(case: Case, of: Section, changes: Sequence[Change], colours: Mapping[str, int]) -> str:
    own = [change for change in changes if change.section is of]
    large = [figure(of, shown, own, colours, large=True) for shown in large_quantities(of)]
    small = [figure(of, shown, own, colours, large=False) for shown in small_quantities(of, case.measures)]
    curves = load_curves(of, case.measures, colours)
    changed = change_list(own, {case.name: Link("", "")}, colours, _MOST_CHANGES) if own else ""
    parts = [
        _facts(of),
        f'<div class="card">{newest_figures([("", of)], colours)}</div>',
        f'<div class="card"><h3>What got slower or faster</h3>{changed}</div>' if changed else "",
        f'<div class="card">{"".join(large)}</div>' if large else "",
        f'<div class="card grid">{"".join(curves)}</div>' if curves else "",
        f'<div class="card grid">{"".join(small)}</div>' if small else "",
        _all_figures(case, of),
    ]
    heading = f'<h2><a href="#{of.anchor}">{escaped(work_title(of))}</a> <small>{escaped(of.machine[0])}</small></h2>'
    return f'<article id="{of.anchor}">{heading}{"".join(parts)}</article>'


def _facts(of: Section) -> str:
    versions: dict[str, str] = {}
    for engine in of.engines:
        versions |= {str(name): str(value) for name, value in of.newest_stop(engine).runs[engine].info.versions.items()}
    options = of.newest.info.options
    work = list(work_pairs(of))
    if options.get("machine_type"):
        prices = options.get("prices")
        work.append(("Cost of", f"{told(options['machine_type'])}{f', prices of {told(prices)}' if prices else ''}"))
    columns = [
        ("Work", work),
        ("Machine", list(machine_pairs(of))),
        (f"Versions, {day(of.newest)}", sorted(versions.items())),
    ]
    cells = "".join(f"<div><h3>{escaped(name)}</h3>{definitions(pairs)}</div>" for name, pairs in columns if pairs)
    return f'<div class="card"><div class="columns">{cells}</div></div>'


def _all_figures(case: Case, of: Section) -> str:
    """Everything that the newest runs measured."""
    own = {measure.name: Quantity.of_measure(measure, own_entry(case.name, measure.name)) for measure in case.measures}
    names: dict[str, None] = {}
    for engine in of.engines:
        names |= dict.fromkeys(sorted(of.newest_stop(engine).runs[engine].samples))
    rows = [list(_row(of, name, own.get(name) or quantity(name))) for name in sorted(names)]
    words = [list(_texts(of, name)) for name in sorted({name for each in _newest(of) for name in each})]
    head = ("Name", *map(escaped, of.engines))
    tables = [table(head, rows, "numbers all"), table(head, words, "all") if words else ""]
    return (
        f'<details class="card"><summary>Everything that the newest runs measured</summary>{"".join(tables)}</details>'
    )


def _newest(of: Section) -> Iterator[Mapping[str, str]]:
    for engine in of.engines:
        yield of.newest_stop(engine).runs[engine].texts


def _texts(of: Section, name: str) -> Iterator[str]:
    yield _named(name, quantity(name))
    for texts in _newest(of):
        yield escaped(texts.get(name, "–"))


def _row(of: Section, name: str, known: Quantity | None) -> Iterator[str]:
    yield _named(name, known)
    for engine in of.engines:
        found = measured(of.newest_stop(engine), engine, name)
        yield "–" if found is None else escaped(amount(found.value, known.unit if known else ""))


def _named(name: str, known: Quantity | None) -> str:
    shown = f"<code>{escaped(name)}</code>"
    return (
        shown
        if known is None or known.entry is None
        else f'<a href="../glossary.html#{address(known.entry)}">{shown}</a>'
    )
