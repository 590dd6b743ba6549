"""`runinference check`: a dry run on one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runinference.cli.exits import FAILED, exits_well
from runinference.cli.options import HANDLER_HELP, job_arguments, make_job

if TYPE_CHECKING:
    from runinference.jobs.dry_run import DryRun


@click.command(
    help=f"""Try a model on the first rows of INPUT and say what a run would do; writes nothing.

{HANDLER_HELP}
    """
)
@job_arguments
@exits_well
def check(**arguments: Any) -> None:
    """Runs the command."""
    from runinference.jobs.dry_run import dry_run

    tried = dry_run(make_job(output="", **arguments))
    width = 12
    for name, text in _lines(tried):
        click.echo(f"{name:<{width}} {text}")
    if tried.rows and not tried.samples:
        raise click.exceptions.Exit(FAILED)


def _lines(tried: DryRun) -> list[tuple[str, str]]:
    from runinference.metrics.snapshot import human

    data, metrics = tried.dataset, tried.metrics.to_dict()
    count = "unknown" if data.num_rows is None else f"{data.num_rows:,}"
    lines = [
        ("Input", f"{_files(len(data.files), data.format)}, {human(data.num_bytes, 'bytes')}, {count} rows"),
        ("Columns", _columns(data.schema)),
        ("Handler", type(tried.handler).__name__),
    ]
    if "load_model_latency_milli_secs_SUM" in metrics:
        loading = human(metrics["load_model_latency_milli_secs_SUM"], "ms")
        lines.append(("Model", f"{human(metrics['model_byte_size_SUM'], 'bytes')}, loaded in {loading}"))
    lines.append(("Tried", f"{tried.rows:,} rows, {len(tried.failures):,} failed"))
    for failure in tried.failures[:3]:
        where = f"row {failure.index:,}" if failure.key is None else f"row {failure.index:,} ({failure.key})"
        lines.append(("", f"{where}: {failure.stage}: {failure.error_type}: {failure.message.partition(chr(10))[0]}"))
    if tried.prediction_type is not None:
        samples = ", ".join(str(sample) for sample in tried.samples)
        lines.append(("Prediction", f"{tried.prediction_type}, such as {samples[:200]}"))
    if tried.seconds_per_row is not None:
        lines.append(("Time", f"{human(tried.seconds_per_row * 1e6, 'µs')} per row in small batches"))
    if tried.expected_seconds is not None:
        lines.append(
            ("All rows", f"about {human(tried.expected_seconds, 's')} at this speed; larger batches are faster")
        )
    if tried.peak_bytes is not None:
        lines.append(("Memory", f"{human(tried.peak_bytes, 'bytes')} at most so far"))
    return lines


def _files(count: int, kind: str) -> str:
    if kind == "images":
        return "1 image" if count == 1 else f"{count:,} images"
    return f"1 {kind} file" if count == 1 else f"{count:,} {kind} files"


def _columns(schema: Any) -> str:
    shown = ", ".join(f"{field.name} {field.type}" for field in list(schema)[:8])
    more = len(schema.names) - 8
    return f"{shown}, … {more:,} more" if more > 0 else shown
