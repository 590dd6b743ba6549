"""Our contestant: `peer_ours.py rows|table|parquet ...`."""

from __future__ import annotations

import argparse

import numpy as np
from contestant import digest_of, parse, report

from harness import data
from runinference import ModelFileType, SklearnModelHandlerNumpy, infer, infer_table


def main(arguments: argparse.Namespace) -> None:
    """Runs the contestant that the command line asks for."""
    {"rows": rows, "table": table, "parquet": parquet}[arguments.kind](arguments)


def rows(arguments: argparse.Namespace) -> None:
    """`infer` over a list of arrays: a `PredictionResult` for each."""
    examples = list(data.matrix(arguments.rows))
    handler = _handler(arguments.model)

    def digest() -> int:
        results = list(infer(examples, handler))
        return digest_of(np.array([r.example for r in results]), np.array([r.inference for r in results]))

    report(lambda: sum(1 for _ in infer(examples, handler)), digest if arguments.check else None)


def table(arguments: argparse.Namespace) -> None:
    """`infer_table` over one array, which Ray Data and Daft are given too."""
    features = data.matrix(arguments.rows)
    handler = _handler(arguments.model)

    def digest() -> int:
        batches = list(infer_table(features, handler))
        return digest_of(features, np.concatenate([batch.column("prediction").to_numpy() for batch in batches]))

    report(lambda: sum(b.num_rows for b in infer_table(features, handler)), digest if arguments.check else None)


def parquet(arguments: argparse.Namespace) -> None:
    """What `runinference run` does."""
    from runinference.jobs.job import Job, run_job

    def one_pass() -> int:
        arguments.output.mkdir(exist_ok=True)
        job = Job(_handler(arguments.model), str(arguments.input), str(arguments.output / "ours.parquet"))
        return run_job(job).rows

    report(one_pass)


def _handler(model: str) -> SklearnModelHandlerNumpy:
    return SklearnModelHandlerNumpy(model, ModelFileType.JOBLIB)


if __name__ == "__main__":
    main(parse())
