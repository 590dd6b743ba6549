"""`runinference bench run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runinference.cli.exits import FAILED, WRONG_USAGE, exits_well

if TYPE_CHECKING:
    from runinference.benchmarks.suite import Outcome

STORE = "benchmarks.sqlite"
_EPILOG = """
    \b
    NAME is of `runinference bench list`, with one of its models behind a colon if it is not to be the first:
      runinference bench run pytorch-language-modeling:bert-large-uncased --examples 500 --engine all
      runinference bench run custom --handler my_models.py:handler --input texts.jsonl
      runinference bench run all --smoke

    \b
    Flags of Beam's benchmarks and of Beam pipelines are taken too, also from a file with one --flag=value a line:
      runinference bench run pytorch-image-classification @options.txt

    Every engine runs in a process of its own: once to warm up, and to compare its answers with those of the first
    engine, then --repeat times to be measured, in turns with the others. Each pass loads the model.
"""


class _WithOptionsFiles(click.Command):
    """A command in whose arguments `@FILE` stands for the lines of a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(argument.startswith("@") for argument in args):
            from runinference.benchmarks.options import expand
            from runinference.errors import ConfigurationError

            try:
                args = list(expand(args))
            except ConfigurationError as error:
                raise click.UsageError(str(error), ctx) from error
        return super().parse_args(ctx, args)


@click.command(
    cls=_WithOptionsFiles,
    epilog=_EPILOG,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="NAME[:MODEL]… [FLAGS]")
@click.option("--examples", type=click.IntRange(min=1), metavar="N", help="How many elements.  [default: 50,000]")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="Passes that are measured.  [default: 5]")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="ENGINE",
    help="embedded, beam, beam-original or all; may be repeated.  [default: embedded]",
)
@click.option("--device", type=click.Choice(["cpu", "cuda", "gpu"], case_sensitive=False), help="Where models run.")
@click.option("--weights", "--model", metavar="PATH", help="Weights in place of random ones.")
@click.option("--input", "input_", metavar="PATH", help="Your own data: a file, folder or glob.")
@click.option("--handler", metavar="HANDLER", help="For custom: your handler, as `runinference run` takes it.")
@click.option(
    "--handler-option",
    "handler_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of our handler, such as precision=bf16; may be repeated.",
)
@click.option("--cases", multiple=True, type=click.Path(), metavar="FOLDER", help="Files with benchmarks of your own.")
@click.option("--smoke", is_flag=True, help="Few elements, the smallest model, one pass: shows that it works.")
@click.option(
    "--store", type=click.Path(), default=STORE, show_default=True, metavar="FILE", help="Database for the results."
)
@click.option("--publish", multiple=True, metavar="ADDRESS", help="Publish there too; see `runinference run --help`.")
@click.option("--output", type=click.Path(), metavar="FILE.json", help="Write every single measurement here too.")
@click.option("--machine", metavar="NAME", help="What this machine is called.  [default: its host name]")
@click.option("--machine-type", metavar="TYPE", help="Whose price the cost is estimated from, such as n1-standard-2.")
@click.option("--gpu", metavar="NAME", help="The GPU that goes with that machine type, such as T4.")
@click.option("--prices", type=click.Path(), metavar="FILE.json", help="Prices in place of the ones that come along.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@exits_well
def run(arguments: tuple[str, ...], **options: Any) -> None:
    """Run benchmarks, side by side on several engines."""
    from runinference.benchmarks.options import parse_flags
    from runinference.benchmarks.suite import run_suite, write_results
    from runinference.cli.bench_progress import watching
    from runinference.cli.bench_requests import make_requests, split
    from runinference.metrics.publisher import Publisher

    names, rest = split(arguments, options["cases"])
    flags = parse_flags(rest, _own_flags())
    _check_output(options["output"])
    for note in flags.notes:
        click.echo(f"Note: {note}", err=True)
    requests = list(make_requests(names, flags, options))
    addresses = [f"sqlite:{options['store']}", *options["publish"], *flags.publish]
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        publisher = Publisher(addresses)
        stack.callback(publisher.close)
        show = stack.enter_context(watching(sys.stderr, quiet=options["quiet"]))
        for outcome in run_suite(requests, publisher.publish, show):
            outcomes.append(outcome)
            _print(outcome, quiet=options["quiet"])
        deliveries = publisher.close()
    if options["output"]:
        write_results(
            options["output"], [run for outcome in outcomes for run in outcome.runs], {"command": sys.argv[1:]}
        )
    _print_places(deliveries, options)
    if any(outcome.error is not None for outcome in outcomes):
        wrong = all(outcome.wrong_usage for outcome in outcomes if outcome.error is not None)
        raise click.exceptions.Exit(WRONG_USAGE if wrong else FAILED)


def _own_flags() -> list[str]:
    return [name for parameter in run.params for name in parameter.opts if name.startswith("--")]


def _check_output(path: str | None) -> None:
    """Before hours are spent on what cannot be written."""
    from runinference.errors import ConfigurationError

    if path is not None and not Path(path).resolve().parent.is_dir():
        raise ConfigurationError(f"The results cannot be written to {path}: there is no such folder on this machine")


def _print(outcome: Outcome, *, quiet: bool) -> None:
    from runinference.cli.bench_table import table

    if outcome.error is not None:
        click.echo(f"Error: {outcome.request.benchmark.name}: {outcome.error}", err=True)
    elif not quiet:
        click.echo(table(outcome))


def _print_places(deliveries: Sequence[Any], options: dict[str, Any]) -> None:
    from runinference.cli.run import what_became

    if options["quiet"] or not any(delivery.written or delivery.kept or delivery.lost for delivery in deliveries):
        return
    for delivery in deliveries:
        click.echo(f"Published    {what_became(delivery)}")
    if options["output"]:
        click.echo(f"Results      {options['output']}")
    click.echo(f"Charts       runinference report {options['store']} -o site")
