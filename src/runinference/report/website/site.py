"""Writes the website."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from runinference import __version__
from runinference.metrics.history import Run
from runinference.report.markup import escaped
from runinference.report.website.archive import Archive, History, slug, sort_runs
from runinference.report.website.benchmark_page import benchmark_page
from runinference.report.website.case import Case
from runinference.report.website.changes import find_changes
from runinference.report.website.folder import SiteFolder
from runinference.report.website.front_page import front_page, summary
from runinference.report.website.glossary import glossary
from runinference.report.website.link import Link

_LONGEST_NAME = 60


def write_site(
    folder: str | os.PathLike[str],
    runs: Sequence[Run],
    cases: Sequence[Case] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes pages about runs of benchmarks: a front page, one for each benchmark, a glossary, and the raw data.

    They are plain files that load nothing from elsewhere, and read from a disk as well as from a server. The same runs
    give the same files. Pages of an earlier site in the folder are replaced; those whose benchmark is gone are removed.

    Args:
        folder: Where to write; it is made where it is not there.
        runs: The runs, in any order, those that are no benchmarks and those that did not finish included.
        cases: What is known of the benchmarks. Those without runs have a page too; runs of benchmarks that are not
            among them have one with little text.
        progress: Is told how many files are written, of how many.

    Returns:
        The front page.

    Raises:
        ConfigurationError: The folder holds other things than an earlier site.
        DataError: It cannot be written.
    """
    archive = sort_runs(runs)
    known = {case.name: case for case in cases}
    shown = {name: known.get(name) or Case(name, name) for name in sorted({*known, *archive.histories})}
    target = SiteFolder(Path(folder))
    total = 2 + sum(2 if name in archive.histories else 1 for name in shown)
    with target:
        for number, (path, content) in enumerate(_pages(archive, shown), 1):
            target.write(path, content)
            if progress is not None:
                progress(number, total)
    return Path(folder) / "index.html"


def _pages(archive: Archive, cases: dict[str, Case]) -> Iterator[tuple[str, str]]:
    """The path of each file in the site, with its content."""
    colours = {engine: number for number, engine in enumerate(archive.engines)}
    changes = find_changes([each for history in archive.histories.values() for each in history.sections])
    names = {name: file_name(name) for name in cases}
    links = {name: Link(cases[name].title, f"benchmarks/{names[name]}.html") for name in cases}
    for name, case in cases.items():
        history = archive.histories.get(name) or History(name, [], [])
        own = [change for change in changes if change.section.benchmark == name]
        data = f"data/{names[name]}.json"
        body = benchmark_page(case, history, own, colours, f"../{data}")
        yield links[name].address, _framed(case.title, f"<code>{escaped(name)}</code>", body, root="../")
        if name in archive.histories:
            yield data, _data(name, history.runs)
    told = [case for case in cases.values() if case.measures]
    yield "glossary.html", _framed("Glossary", "What every quantity is, exactly", glossary(told))
    yield "index.html", _framed("Performance", summary(archive), front_page(archive, cases, changes, links, colours))


def file_name(benchmark: str) -> str:
    """The name of a benchmark as that of a file, always the same; those of different benchmarks differ."""
    plain = slug(benchmark)[:_LONGEST_NAME]
    if plain and plain == benchmark:
        return plain
    return f"{plain}-{hashlib.sha256(benchmark.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".strip("-")


def _framed(title: str, subtitle: str, body: str, root: str = "") -> str:
    ours, reports = files("runinference.report.website"), files("runinference.report")
    return Template((ours / "site.html").read_text("utf-8")).substitute(
        title=escaped(title if title == "Performance" else f"{title} · Performance"),
        heading=escaped(title),
        style=(reports / "page.css").read_text("utf-8") + (ours / "site.css").read_text("utf-8"),
        subtitle=subtitle,
        body=body,
        root=root,
        version=escaped(__version__),
    )


def _data(name: str, runs: Sequence[Run]) -> str:
    """The runs in the format of `runinference bench run --output`, which can be read back."""
    # A line for each run: one that is added changes one line.
    lines = ",\n".join(json.dumps(_without_nan(run.to_dict()), sort_keys=True) for run in runs)
    return f'{{"benchmark": {json.dumps(name)}, "runs": [\n{lines}\n]}}\n'


def _without_nan(value: Any) -> Any:
    """JSON has no word for what is not a number."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
