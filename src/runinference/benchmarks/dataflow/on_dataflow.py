"""Running a pipeline on Dataflow, and reading what it did there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from runinference.benchmarks.cost import Prices, load_prices
from runinference.benchmarks.dataflow.clients import GoogleClients
from runinference.benchmarks.dataflow.figures import JobFigures, read_figures
from runinference.benchmarks.dataflow.job import JobReader
from runinference.benchmarks.dataflow.pcollections import accelerator_of, pcollection_of
from runinference.benchmarks.dataflow.running import start_job, wait_for_job
from runinference.benchmarks.dataflow.waiting import Waiting

_logger = logging.getLogger(__name__)


def goes_to_dataflow(pipeline: Any) -> bool:
    """Whether the options of a pipeline say that it runs on Dataflow."""
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    return isinstance(pipeline.runner, DataflowRunner)


def gpu_of(pipeline: Any, prices: Prices) -> str | None:
    """The GPU that a pipeline asks for, by its name in the price table; `None` where it asks for none.

    Raises:
        ConfigurationError: There is no price for it.
    """
    accelerator = accelerator_of(pipeline, pipeline.options)
    return None if accelerator is None else prices.gpu(accelerator).name


def run_on_dataflow(
    pipeline: Any,
    *,
    pcollection: str | None = None,
    subscription: str | None = None,
    gpu: str | None = None,
    prices: Prices | None = None,
    timeout_s: float | None = None,
    patience_s: float = 300.0,
    clients: GoogleClients | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    started: Callable[[str], None] | None = None,
) -> tuple[Any, JobFigures]:
    """Runs a pipeline on Dataflow, waits for its end and for its figures.

    Args:
        pipeline: A pipeline of Beam with its transforms, whose options say that it runs on Dataflow.
        pcollection: The PCollection whose throughput it is, or the label of the transform that makes it; by default
            what the last `RunInference` makes.
        subscription: For a streaming job, the subscription of Pub/Sub whose throughput it is in its place.
        gpu: The GPU of the workers; by default the one that the pipeline asks for.
        prices: The price table; the one that comes with the package by default.
        timeout_s: Longest time for the job, after which it is cancelled; `None` for any time.
        patience_s: How long to wait for the figures of the job when it has ended.
        clients: Clients of Google's services; made with the options of the pipeline by default.
        clock: Tells seconds, from any start.
        sleep: Waits so many seconds.
        started: Is told the id of the job.

    Returns:
        The result of the pipeline, and the figures.

    Raises:
        BenchmarkError: The job could not be started, failed, or has not ended in time.
        ConfigurationError: The pipeline has no such PCollection, or its GPU has no price.
        DataError: The job cannot be read.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    options = pipeline.options.view_as(GoogleCloudOptions)
    prices = prices or load_prices()
    pcollection = pcollection_of(pipeline, pcollection)
    gpu = gpu or gpu_of(pipeline, prices)
    own = clients is None
    clients = clients or _connect(options, sleep)  # Before the job is paid for.
    try:
        result = start_job(pipeline)
        if started is not None:
            started(result.job_id())
        reader = JobReader(options.project, options.region, result.job_id(), clients)
        try:
            wait_for_job(result, reader, timeout_s=timeout_s, clock=clock, sleep=sleep)
        except KeyboardInterrupt:
            _logger.warning("Job %s goes on and is paid for; `gcloud dataflow jobs cancel` ends it", reader.job_id)
            raise
        waiting = Waiting(patience_s, clock=clock, sleep=sleep)
        return result, read_figures(
            reader, pcollection=pcollection, subscription=subscription, gpu=gpu, prices=prices, waiting=waiting
        )
    finally:
        if own:
            clients.close()


def _connect(options: Any, sleep: Callable[[float], None]) -> GoogleClients:
    """The clients that the options of a pipeline ask for."""
    from google.auth.credentials import AnonymousCredentials

    endpoint = options.dataflow_endpoint
    own = None if endpoint in (None, "", options.DATAFLOW_ENDPOINT) else endpoint
    return GoogleClients(own, AnonymousCredentials() if options.no_auth else None, sleep=sleep)
