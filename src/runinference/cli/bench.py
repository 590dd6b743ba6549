"""`runinference bench`: how fast models run, on any engine, and whether it got slower."""

from __future__ import annotations

import click

from runinference.cli.bench_compare import compare
from runinference.cli.bench_run import run
from runinference.cli.exits import exits_well


@click.group()
def bench() -> None:
    """Measure standard models, or your own handler on your own data."""


@bench.command("list")
@click.option("--cases", multiple=True, type=click.Path(), metavar="FOLDER", help="Files with benchmarks of your own.")
@exits_well
def list_benchmarks(cases: tuple[str, ...]) -> None:
    """Show every benchmark with its models and engines."""
    from runinference.benchmarks.catalog import find_benchmarks

    for name, benchmark in find_benchmarks(cases).items():
        click.echo(f"{name}\n  {benchmark.title}")
        click.echo(f"  models   {', '.join(benchmark.models)}")
        click.echo(f"  engines  {', '.join(benchmark.engines)}")
        if benchmark.extras:
            click.echo(f"  needs    runinference[{','.join(benchmark.extras)}]")
        if benchmark.missing is not None:
            click.echo(f"  cannot run yet: {benchmark.missing}")


for command in (run, compare):
    bench.add_command(command)
