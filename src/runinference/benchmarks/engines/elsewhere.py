"""A pipeline on another runner of Beam's: Dataflow, Flink, Spark."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from runinference.benchmarks.dataflow import goes_to_dataflow, run_on_dataflow
from runinference.benchmarks.dataflow.running import run_here
from runinference.benchmarks.engines.elements import numbered
from runinference.benchmarks.engines.pipeline_metrics import flat_metrics
from runinference.benchmarks.passes import Pass


def run_elsewhere(options: Sequence[str], examples: Sequence[Any], transform: Any) -> Pass:
    """One pass. Elements travel to the workers; answers stay there.

    On Dataflow its run time, throughput and cost are those that the job tells of itself.

    Args:
        options: Options of the pipeline, such as `--runner=DataflowRunner`.
        examples: The elements.
        transform: Makes results of elements with their numbers as keys.

    Raises:
        BenchmarkError: The job failed.
        ConfigurationError: The options cannot work.
        DataError: What the job did cannot be read.
    """
    start = time.perf_counter()
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    texts: dict[str, str] = {}
    measured: dict[str, float] = {}
    job_id = None
    with numbered(pipeline, examples) as elements:
        elements | transform
        if goes_to_dataflow(pipeline):
            result, figures = run_on_dataflow(pipeline)
            measured, texts, job_id = figures.values(), figures.texts(), result.job_id()
        else:
            result = run_here(pipeline, streaming=False)
    run_s = measured.get("JobRuntimeSeconds", time.perf_counter() - start)
    metrics = flat_metrics(result) | measured
    return Pass(
        elements=int(metrics.get("num_inferences", len(examples))),
        run_s=run_s,
        # Workers load side by side: what they took in all is no part of the run time.
        load_s=0.0,
        metrics=metrics,
        texts=texts,
        job_id=job_id,
    )
