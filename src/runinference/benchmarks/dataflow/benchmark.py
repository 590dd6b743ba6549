"""A benchmark of one's own pipeline, on Dataflow or on any other runner of Beam."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runinference.benchmarks.cost import Prices, load_prices
from runinference.benchmarks.dataflow.clients import GoogleClients
from runinference.benchmarks.dataflow.measuring import PipelineRun
from runinference.benchmarks.dataflow.throughput import parse_subscription
from runinference.errors import ConfigurationError
from runinference.metrics.measurement import Measurement
from runinference.packages import require


class DataflowBenchmark(ABC):
    """Measures a pipeline: how long it runs, how fast it is, what it costs, and what it counts.

    A subclass says what the pipeline is. Where it runs is said by the options of the pipeline, as ever: on Dataflow
    the figures come from the job itself, on other runners from the time and the price of the machine.

    Args:
        name: What the benchmark is called; the name of the class by default.
        namespaces: Namespaces whose metrics are published; all by default.
        streaming: Whether the pipeline runs until it is stopped, after `timeout_s`. Jobs of Dataflow tell it
            themselves.
        gpu: The GPU of the workers, or of this machine, such as `T4`; on Dataflow by default the one that the options
            of the pipeline or its transforms ask for.
        pcollection: The PCollection whose throughput is measured on Dataflow, such as `PostProcess.out0`, or the label
            of the transform that makes it; by default what the last `RunInference` of the pipeline makes.
        subscription: For a streaming job, the subscription of Pub/Sub whose throughput is measured in its place.
        machine_type: The machine type that a run on this machine is charged as; by default one with as many cores.
        prices: The price table; the one that comes with the package by default.
        timeout_s: Longest time for the pipeline, after which it is cancelled; `None` for any time.
        patience_s: How long to wait for the figures of a job that has ended. Dataflow has them after some minutes.
        clients: Clients of Google's services; made with the credentials of the environment by default.
        clock: Tells seconds, from any start.
        sleep: Waits so many seconds.

    Raises:
        ConfigurationError: An argument cannot work.

    Example:
        ```python
        class Sentiment(DataflowBenchmark):
            def build(self, pipeline):
                lines = pipeline | beam.io.ReadFromText("gs://my-bucket/sentences.txt")
                lines | RunInference(handler) | beam.Map(print)


        if __name__ == "__main__":
            publisher = Publisher(["sqlite:metrics.db"])
            Sentiment(gpu="T4").run(publish=publisher.publish)
            publisher.close()
        ```
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        namespaces: Collection[str] | str | None = None,
        streaming: bool = False,
        gpu: str | None = None,
        pcollection: str | None = None,
        subscription: str | None = None,
        machine_type: str | None = None,
        prices: Prices | None = None,
        timeout_s: float | None = None,
        patience_s: float = 300.0,
        clients: GoogleClients | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if timeout_s is not None and timeout_s <= 0:
            raise ConfigurationError(f"timeout_s={timeout_s!r}: expected more than 0, or None for any time")
        if streaming and timeout_s is None:
            raise ConfigurationError("streaming=True needs timeout_s: a streaming job does not end by itself")
        self.name = name or type(self).__name__
        self.namespaces = [namespaces] if isinstance(namespaces, str) else namespaces
        self.streaming = streaming
        self.prices = prices or load_prices()
        self.gpu = None if gpu is None else self.prices.gpu(gpu).name
        self.pcollection = pcollection
        self.subscription = subscription
        self.machine_type = machine_type
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self.clients = clients
        self.clock = clock
        self.sleep = sleep
        if machine_type is not None:
            self.prices.machine_type(machine_type)
        if subscription is not None:
            parse_subscription(subscription)

    @abstractmethod
    def build(self, pipeline: Any) -> None:
        """Applies the transforms.

        Args:
            pipeline: A pipeline of Beam without any. Options of one's own are read with
                `pipeline.options.view_as(MyOptions)`.
        """

    def work(self) -> Mapping[str, Any]:
        """What tells this work from other work of the same name, whose figures are then not compared."""
        return {}

    def run(
        self, argv: Sequence[str] | None = None, publish: Callable[[Measurement], None] | None = None
    ) -> Measurement:
        """Runs the pipeline, waits for its end and for its figures.

        Args:
            argv: Options of the pipeline; those of the command line by default.
            publish: Is given a measurement when the run begins, and one when it has ended, such as
                `Publisher(["sqlite:metrics.db"]).publish`.

        Returns:
            `JobRuntimeSeconds`, `AvgThroughputElements`, `AvgThroughputBytes`, `EstimatedCost`,
            `estimated_cost_per_million`, the metrics of Dataflow such as `TotalVcpuTime`, and those of the pipeline as
            `<namespace>_<step>_<name>`. What is not known is not there, and the text `remarks` says why.

        Raises:
            BenchmarkError: The pipeline failed, or was cancelled.
            ConfigurationError: It has no such PCollection.
            DataError: What the job has used cannot be read.
        """
        beam = require("apache_beam", "beam", "run a benchmark on Beam")
        from apache_beam.options.pipeline_options import PipelineOptions

        options = PipelineOptions(list(sys.argv[1:] if argv is None else argv))
        asked = options.get_all_options(drop_default=True)  # Beam adds some of its own.
        pipeline = beam.Pipeline(options=options)
        self.build(pipeline)
        run = PipelineRun(self, pipeline, asked)
        tell = publish or _nobody
        tell(Measurement.of(run.info, {}))
        try:
            measured = run.measure()
        except BaseException:
            tell(Measurement.of(replace(run.info, state="failed"), {}))
            raise
        tell(measured)
        return measured


def _nobody(measurement: Measurement) -> None:
    """Nobody asked."""
