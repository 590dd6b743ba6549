"""`runinference bench compare`."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

import click

from runinference.cli.exits import FAILED, exits_well

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runinference.metrics.measures import Measure


def _share(context: click.Context, option: click.Parameter, value: str) -> float:
    """`5%` or `5`, as 0.05."""
    try:
        percent = float(value.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not (math.isfinite(percent) and percent >= 0):
        raise click.BadParameter(f"{value!r} is no percentage, such as 5%", context, option)
    return percent / 100


@click.command(
    help="""Say whether B is slower than A.

    \b
    A, B  FILE             the newest run of each benchmark in a database of `bench run --store`,
                           or in a file of `bench run --output`
          FILE@latest~1    the run before that of each; @latest~2 the one before, and so on
          FILE@3f2a91c     the newest ones of a commit, or the one with a test id, that begins so

    Runs of the same benchmark, model, options, number of examples, engine, device and machine are compared. Runs that
    failed or have not ended take no part.

    A and B are medians. The difference is that of the geometric means, with a 95 % interval (Welch's t on logarithms):
    it knows how much the passes of a run scatter, not how much the machine differs from day to day.

    Exits with 1 if a metric is worse by more than --threshold: the difference is beyond it, and the whole interval lies
    on the worse side of 0. With a single sample in A or B there is no interval, and nothing is worse. Exits with 2 if
    nothing can be compared.

    \b
    Examples:
      runinference bench compare benchmarks.sqlite@latest~1 benchmarks.sqlite@latest
      runinference bench compare benchmarks.sqlite@3f2a91c benchmarks.sqlite@b41d07e --threshold 10%
      runinference bench compare before.json after.json --metric throughput_after_load
    """
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="What to compare, such as peak_memory_bytes; may be repeated.  [default: JobRuntimeSeconds]",
)
@click.option(
    "--threshold",
    callback=_share,
    default="5%",
    show_default=True,
    metavar="P%",
    help="How much worse B may be.",
)
@click.option("--across-machines", is_flag=True, help="Compare runs of different machines all the same.")
@click.option("--cases", multiple=True, type=click.Path(), metavar="FOLDER", help="Files with benchmarks of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every sample.")
@exits_well
def compare(
    a: str,
    b: str,
    metrics: tuple[str, ...],
    threshold: float,
    across_machines: bool,
    cases: tuple[str, ...],
    as_json: bool,
) -> None:
    """Runs the command."""
    from runinference.benchmarks.compare import compare_pairs, to_dict
    from runinference.benchmarks.pairs import pair_up
    from runinference.benchmarks.selection import read_source
    from runinference.cli.bench_differences import lines_of

    pairs = pair_up(read_source(a), read_source(b), across_machines=across_machines)
    rows = compare_pairs(pairs, metrics, threshold, _own_measures(cases))
    if as_json:
        click.echo(json.dumps({"a": a, "b": b, **to_dict(pairs, rows, threshold)}, indent=1, default=str))
    else:
        _show(lines_of(a, b, pairs, rows, threshold))
    if any(row.worse for row in rows):
        raise click.exceptions.Exit(FAILED)


def _own_measures(cases: tuple[str, ...]) -> Mapping[str, Measure]:
    """Those that benchmarks have declared for themselves."""
    from runinference.benchmarks.catalog import find_benchmarks

    return {measure.name: measure for benchmark in find_benchmarks(cases).values() for measure in benchmark.measures}


def _show(lines: list[tuple[str, str]]) -> None:
    """Prints lines, on a terminal in the style of each."""
    if not sys.stdout.isatty():
        click.echo("\n".join(line for line, _ in lines))
        return
    from runinference.packages import require

    text = require("rich.text", "cli", "show a table").Text
    console = require("rich.console", "cli", "show a table").Console(highlight=False)
    for line, style in lines:
        console.print(text(line, style), soft_wrap=True)
