"""Benchmarks of pipelines on Dataflow, and the figures of jobs that have ended."""

from __future__ import annotations

from runinference.benchmarks.dataflow.benchmark import DataflowBenchmark
from runinference.benchmarks.dataflow.clients import GoogleClients
from runinference.benchmarks.dataflow.figures import JobFigures, read_figures
from runinference.benchmarks.dataflow.job import Job, JobMetrics, JobReader
from runinference.benchmarks.dataflow.on_dataflow import goes_to_dataflow, run_on_dataflow
from runinference.benchmarks.dataflow.throughput import Throughput
from runinference.benchmarks.dataflow.waiting import Waiting

__all__ = [
    "DataflowBenchmark",
    "GoogleClients",
    "Job",
    "JobFigures",
    "JobMetrics",
    "JobReader",
    "Throughput",
    "Waiting",
    "goes_to_dataflow",
    "read_figures",
    "run_on_dataflow",
]
