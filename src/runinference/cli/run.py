"""`runinference run`: a model over files."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runinference.cli.exits import TOO_MANY_FAILURES, exits_well
from runinference.cli.options import HANDLER_HELP, job_arguments, make_job

if TYPE_CHECKING:
    from runinference.jobs.job import Job, JobResult
    from runinference.metrics.publisher import Delivery
    from runinference.report import Recording

_REASONS_SHOWN = 5


def _help(text: str) -> str:
    return text.replace("    {HANDLER_HELP}", HANDLER_HELP.lstrip("\n"))


@click.command(
    help=_help(
        """Run a model over INPUT and write OUTPUT with a column of predictions.

    {HANDLER_HELP}
    OUTPUT   a file; its suffix says the format: .parquet .csv .tsv .jsonl

    The columns of the input are kept and `prediction` is added. A row that fails is set aside in the failures file,
    with the reason; the others go on. OUTPUT appears only when it is complete.

    \b
    Examples:
      runinference run sklearn:model.joblib customers.parquet scores.parquet
      runinference run sklearn:model.joblib 'logs/*.csv' out.jsonl --columns age,income --key id
      runinference run my_models.py:handler s3://bucket/texts/ out.parquet --max-failures 1%
    """
    )
)
@job_arguments
@click.argument("output", type=click.Path())
@click.option(
    "--failures",
    type=click.Path(),
    metavar="FILE",
    help="Where failed rows go, as JSON Lines.  [default: OUTPUT.failures.jsonl]",
)
@click.option(
    "--max-failures",
    metavar="N|P%",
    help="Exit with code 3 if more rows fail.  [default: only if all fail]",
)
@click.option("--metrics", type=click.Path(), metavar="FILE.json", help="Write the metrics here too.")
@click.option("--report", type=click.Path(), metavar="FILE.html", help="Write a page about the run, however it ends.")
@click.option(
    "--publish",
    multiple=True,
    metavar="ADDRESS",
    help="Publish the metrics to sqlite:FILE, jsonl:FILE, influxdb:http://HOST:8086?db=NAME (or ?org=&bucket=), "
    "bigquery:PROJECT.DATASET.TABLE or otel:http://HOST:4318; may be repeated.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Let a Prometheus on this machine fetch the metrics at this port while the job runs.",
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Stop after so many rows of the input.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Try a call again that may succeed, such as one that lost its connection.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest time for one call of the model.  [default: none]",
)
@click.option(
    "--watch-model-pattern",
    metavar="PATTERN",
    help="Folder, glob or file in which new versions of the model appear; they take over while the job runs.",
)
@click.option(
    "--watch-interval",
    "watch_interval_s",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    metavar="SECONDS",
    help="How often to look there.  [default: 30]",
)
@click.option("--live", is_flag=True, help="Show batches, stages and failures while the job runs, on a terminal.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@exits_well
def run(quiet: bool, live: bool, **arguments: Any) -> None:
    """Runs the command."""
    from runinference.jobs.job import run_job
    from runinference.progress import ProgressReporter

    job = make_job(**arguments)
    with ExitStack() as stack:

        def show(total: int | None, recording: Recording) -> Any:
            if live and sys.stderr.isatty():
                from runinference.cli.live import LiveView

                return stack.enter_context(LiveView(recording, total)).update
            return stack.enter_context(ProgressReporter(sys.stderr, total)).update

        result = run_job(job, None if quiet else show)
    if not quiet:
        _print_result(result, job)
    if result.too_many_failed:
        click.echo(f"Error: {job.allowed.describe(result.failed, result.rows + result.failed)}", err=True)
        raise click.exceptions.Exit(TOO_MANY_FAILURES)


def _print_result(result: JobResult, job: Job) -> None:
    from runinference.metrics.snapshot import human

    gauges = dict(result.metrics.gauges)
    bottleneck = gauges.pop("bottleneck", None)  # Shown below the table, where it is looked for.
    click.echo(f"{dataclasses.replace(result.metrics, gauges=gauges)}\n")
    for reason, count in result.reasons[:_REASONS_SHOWN]:
        click.echo(f"{count:,} × {reason}")
    if len(result.reasons) > _REASONS_SHOWN:
        click.echo(f"… and {len(result.reasons) - _REASONS_SHOWN} other reasons")
    if result.reasons:
        click.echo()
    if bottleneck is not None:
        click.echo(f"Bottleneck   {bottleneck}")
    click.echo(f"Predictions  {result.output}  ({human(result.rows, 'rows')})")
    if result.failures is not None:
        click.echo(f"Failures     {result.failures}  ({human(result.failed, 'rows')})")
    if job.metrics is not None:
        click.echo(f"Metrics      {job.metrics}")
    for delivery in result.deliveries:
        click.echo(f"Published    {what_became(delivery)}")
    if job.report is not None and Path(job.report).exists():
        click.echo(f"Report       {job.report}")


def what_became(delivery: Delivery) -> str:
    """Whether a destination has the metrics, in words."""
    name = delivery.destination
    if delivery.kept:
        return f"not yet to {name} ({delivery.problem}); kept, and sent with the next run"
    if delivery.lost:
        return f"not to {name}: {delivery.problem}"
    return name
