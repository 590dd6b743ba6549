"""The arguments and options that several commands share, and the job that they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runinference.jobs.job import Job

HANDLER_HELP = """
    \b
    HANDLER  sklearn:model.joblib   a scikit-learn model (.joblib, .pkl, .skops)
             torch:model.pt2        an exported PyTorch program, or TorchScript
             onnx:model.onnx        also xgboost:model.json, tensorflow:folder
             huggingface:TASK@MODEL a pipeline, such as text-classification@folder
             package.module:name    a handler, or a function or class that makes one
             file.py:name           the same, from a file
    INPUT    a file, folder or glob of .parquet .csv .tsv .jsonl .txt (also .gz .bz2 .zst
             for text formats) or of images (.jpg .png .webp …), on this machine or behind
             any fsspec URL, such as s3://…"""


def job_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the arguments and options that say which model runs on which columns."""
    decorators = [
        click.argument("handler"),
        click.argument("input", type=click.Path()),
        click.option("--columns", metavar="A,B,…", help="Columns the model is given.  [default: all but --key]"),
        click.option("--key", metavar="COLUMN", help="Column that names a row in the failures file."),
        click.option(
            "--handler-b",
            metavar="HANDLER",
            help="A second model for the same rows; `prediction` then holds what each says, as a and b.",
        ),
        click.option(
            "--max-batch-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="Largest batch in rows.  [default: tuned while running]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            metavar="N",
            help="Threads for pre- and post-processing; 0 runs everything in one thread.  [default: decided by timing]",
        ),
    ]
    return functools.reduce(lambda wrapped, decorate: decorate(wrapped), reversed(decorators), command)


def make_job(handler: str, input: str, output: str, **options: Any) -> Job:  # noqa: A002
    """The job that the arguments of a command describe."""
    from runinference.jobs.allowed_failures import AllowedFailures
    from runinference.jobs.job import Job
    from runinference.jobs.resolve import resolve_handler

    second = options.pop("handler_b", None)
    columns = options.pop("columns", None)
    allowed = options.pop("max_failures", None)
    return Job(
        handler=resolve_handler(handler) if second is None else _side_by_side(handler, second),
        input=input,
        output=output,
        columns=None if columns is None else [name.strip() for name in columns.split(",") if name.strip()],
        allowed=AllowedFailures() if allowed is None else AllowedFailures.parse(allowed),
        **options,
    )


def _side_by_side(a: str, b: str) -> Any:
    from runinference.ensemble import EnsembleModelHandler
    from runinference.jobs.resolve import resolve_handler

    return EnsembleModelHandler({"a": resolve_handler(a), "b": resolve_handler(b)})
