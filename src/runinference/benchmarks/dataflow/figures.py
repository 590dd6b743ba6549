"""The figures of a job of Dataflow that has ended: run time, throughput, what it used, what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runinference.benchmarks.cost import Cost, Prices, job_cost
from runinference.benchmarks.dataflow.job import Job, JobMetrics, JobReader
from runinference.benchmarks.dataflow.runtime import Interval, work_interval
from runinference.benchmarks.dataflow.throughput import Throughput, read_subscription, read_throughput
from runinference.benchmarks.dataflow.waiting import Waiting
from runinference.errors import DataError

_NEEDED = ("TotalVcpuTime", "TotalMemoryUsage")


@dataclass(frozen=True)
class JobFigures:
    """What a job of Dataflow did.

    Attributes:
        job: The job.
        metrics: What it has used and counted.
        cost: What that costs.
        runtime_s: Seconds from the start of all workers to their end; `None` where the job does not tell.
        throughput: How fast it was; `None` where that is not known.
        problems: What is not known, and why.
    """

    job: Job
    metrics: JobMetrics
    cost: Cost
    runtime_s: float | None
    throughput: Throughput | None
    problems: Sequence[str]

    def values(self) -> dict[str, float]:
        """The figures by the names under which they are published; what is not known is left out."""
        speed = self.throughput
        known = {
            "JobRuntimeSeconds": self.runtime_s,
            "AvgThroughputElements": None if speed is None else speed.elements_per_s,
            "AvgThroughputBytes": None if speed is None else speed.bytes_per_s,
            "EstimatedCost": self.cost.total,
            "estimated_cost_per_million": None if speed is None else self.cost.per_million(speed.elements),
        }
        return {**self.metrics.usage, **{name: value for name, value in known.items() if value is not None}}

    def texts(self) -> dict[str, str]:
        """What has to be known of the figures."""
        left_out = [f"EstimatedCost has nothing for {part}" for part in self.cost.left_out]
        found = [*self.problems, *left_out, *self.cost.remarks]
        return {"remarks": "; ".join(found)} if found else {}


def read_figures(
    reader: JobReader,
    *,
    pcollection: str | None = None,
    subscription: str | None = None,
    gpu: str | None = None,
    prices: Prices | None = None,
    waiting: Waiting | None = None,
) -> JobFigures:
    """The figures of a job that has ended, as soon as the service has them all.

    A figure that is not to be had is left out, and is told among the problems: what a job has used is of use even
    where its throughput is not known.

    Args:
        reader: Reads the job.
        pcollection: The PCollection whose throughput it is, such as `PostProcess.out0`.
        subscription: For a streaming job, the subscription of Pub/Sub whose throughput it is.
        gpu: The GPU of the workers, such as `T4`.
        prices: The price table; the one that comes with the package by default.
        waiting: Waits for what comes late; for five minutes by default.

    Raises:
        ConfigurationError: There is no price for the GPU, or that is no subscription.
        DataError: The job cannot be read.

    Example:
        ```python
        with GoogleClients() as clients:
            reader = JobReader("my-project", "us-central1", "2026-11-21_03_50_00-1234567890", clients)
            print(read_figures(reader, pcollection="RunInference.out0", gpu="T4").cost.to_text())
        ```
    """
    waiting = waiting or Waiting()
    job = reader.job()
    problems: list[str] = []
    interval: Interval | None = None
    try:
        interval = work_interval(reader.messages(), job.streaming)
    except DataError as error:
        problems.append(str(error))
    metrics, settled = _settled(reader, job.since_s, gpu is not None, waiting)
    if not settled:
        problems.append("What the job has used may be more: the service was still adding it up when time was up")
    throughput: Throughput | None = None
    try:
        if interval is not None and subscription is not None:
            throughput = read_subscription(reader, interval, subscription, waiting)
        elif interval is not None and pcollection is not None:
            throughput = read_throughput(reader, metrics, interval, pcollection, waiting)
        elif interval is not None:
            problems.append("The throughput is not known: no PCollection was named")
    except DataError as error:
        problems.append(str(error))
    cost = job_cost(metrics.usage, streaming=job.streaming, gpu=gpu, prices=prices, remarks=job.remarks)
    return JobFigures(job, metrics, cost, interval and interval.duration_s, throughput, problems)


def _settled(reader: JobReader, ended_s: float | None, has_gpu: bool, waiting: Waiting) -> tuple[JobMetrics, bool]:
    """What a job has used, when that changes no more; and whether it does not.

    The service sums up what a job has used for some minutes after its end.
    """
    needed = [*_NEEDED, "TotalGpuTime"] if has_gpu else _NEEDED
    before: list[JobMetrics] = []

    def good(now: JobMetrics) -> bool:
        unchanged = bool(before) and before[-1].usage == now.usage and before[-1].elements == now.elements
        before.append(now)
        after_the_end = now.time_s is None or ended_s is None or now.time_s >= ended_s
        return unchanged and after_the_end and all(now.usage.get(name) for name in needed)

    return waiting.until(reader.metrics, good)
