"""One run of a benchmark of a pipeline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runinference.benchmarks.cost import Prices, default_machine_type, local_cost
from runinference.benchmarks.dataflow.beam_metrics import flat_metrics, inferences
from runinference.benchmarks.dataflow.on_dataflow import goes_to_dataflow, gpu_of, run_on_dataflow
from runinference.benchmarks.dataflow.pcollections import pcollection_of
from runinference.benchmarks.dataflow.running import run_here
from runinference.metrics.machine import cores
from runinference.metrics.measurement import Measurement, RunInfo, package_versions

if TYPE_CHECKING:
    from runinference.benchmarks.dataflow.benchmark import DataflowBenchmark

# Options of a pipeline that make it other work; what is left out, such as the name of the job, does not.
_WORK = (
    "runner",
    "region",
    "streaming",
    "machine_type",
    "num_workers",
    "max_num_workers",
    "autoscaling_algorithm",
    "number_of_worker_harness_threads",
    "experiments",
    "dataflow_service_options",
)


class PipelineRun:
    """Runs a pipeline once and measures it.

    Args:
        benchmark: What is asked for.
        pipeline: The pipeline, with its transforms.
        asked: The options that it was given.

    Attributes:
        info: What runs, where, when.

    Raises:
        ConfigurationError: The pipeline has no such PCollection, or there is no price for its GPU.
    """

    def __init__(self, benchmark: DataflowBenchmark, pipeline: Any, asked: Mapping[str, Any]) -> None:
        from apache_beam.options.pipeline_options import GoogleCloudOptions

        self._benchmark = benchmark
        self._pipeline = pipeline
        self._on_dataflow = goes_to_dataflow(pipeline)
        self._pcollection = pcollection_of(pipeline, benchmark.pcollection)
        self._gpu: str | None = benchmark.gpu
        if self._on_dataflow and self._gpu is None:
            self._gpu = gpu_of(pipeline, benchmark.prices)
        work = {name: asked[name] for name in _WORK if name in asked}
        region, machine = pipeline.options.view_as(GoogleCloudOptions).region, asked.get("machine_type")
        workers = _workers(region, machine, benchmark.prices) if self._on_dataflow else {}
        self.info = RunInfo(
            benchmark.name,
            engine="beam",
            device=self._gpu or "cpu",
            options={"work": {**work, **benchmark.work()}, "prices": str(benchmark.prices)},
            state="running",
            **workers,
        )

    def measure(self) -> Measurement:
        """Runs it.

        Raises:
            BenchmarkError: It failed, or was cancelled.
            DataError: What the job has used cannot be read.
        """
        return self._on_workers() if self._on_dataflow else self._here()

    def _on_workers(self) -> Measurement:
        benchmark = self._benchmark
        result, figures = run_on_dataflow(
            self._pipeline,
            pcollection=self._pcollection,
            subscription=benchmark.subscription,
            gpu=self._gpu,
            prices=benchmark.prices,
            timeout_s=benchmark.timeout_s,
            patience_s=benchmark.patience_s,
            clients=benchmark.clients,
            clock=benchmark.clock,
            sleep=benchmark.sleep,
            started=self._started,
        )
        return self._measurement(result, figures.values(), figures.texts())

    def _started(self, job_id: str) -> None:
        self.info = replace(self.info, job_id=job_id)

    def _here(self) -> Measurement:
        benchmark = self._benchmark
        machine_type = benchmark.machine_type or default_machine_type(cores(), benchmark.prices)
        start = time.perf_counter()
        result = run_here(self._pipeline, benchmark.streaming, benchmark.timeout_s, benchmark.clock, benchmark.sleep)
        run_s = time.perf_counter() - start
        cost = local_cost(run_s, machine_type, self._gpu, benchmark.prices)
        elements = inferences(result.metrics())
        known = {
            "JobRuntimeSeconds": run_s,
            "AvgThroughputElements": None if elements is None else elements / run_s,
            "EstimatedCost": cost.total,
            "estimated_cost_per_million": cost.per_million(elements),
        }
        values = {name: value for name, value in known.items() if value is not None}
        return self._measurement(result, values, {"machine_type": machine_type})

    def _measurement(self, result: Any, values: Mapping[str, float], texts: Mapping[str, str]) -> Measurement:
        flat = flat_metrics(result.metrics(), self._benchmark.namespaces)
        info = replace(self.info, state="done", versions=package_versions())
        return Measurement.of(info, {**flat, **values, **texts})


def _workers(region: str | None, machine_type: str | None, prices: Prices) -> dict[str, Any]:
    """What stands for the machine in what is kept of a run: a worker, not the machine that started the job."""
    machine = prices.machine_types.get(machine_type or "")
    return {
        "host": f"Dataflow {region}",
        "processor": machine_type or "",
        "cores": 0 if machine is None else round(machine.vcpus),
        "memory_bytes": None if machine is None else round(machine.memory_gb * 2**30),
    }
