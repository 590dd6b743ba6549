"""How many elements and bytes a job had a second, from counts and the time that they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runinference.benchmarks.dataflow.job import JobMetrics, JobReader
from runinference.benchmarks.dataflow.pcollections import find_pcollection
from runinference.benchmarks.dataflow.runtime import Interval
from runinference.benchmarks.dataflow.waiting import Waiting
from runinference.errors import ConfigurationError, DataError

_SAMPLED_S = 60.0
_ELEMENTS = "dataflow.googleapis.com/job/element_count"
_BYTES = "dataflow.googleapis.com/job/estimated_byte_count"
_MESSAGES = "pubsub.googleapis.com/subscription/sent_message_count"
_MESSAGE_BYTES = "pubsub.googleapis.com/subscription/byte_cost"


class Throughput(NamedTuple):
    """How fast a job was.

    Attributes:
        elements: How many elements it had; `None` where they were not counted to the end.
        elements_per_s: How many in a second, over the time that the workers were at work.
        bytes_per_s: How many bytes in a second; `None` where they are not known.
    """

    elements: float | None
    elements_per_s: float
    bytes_per_s: float | None


class _Point(NamedTuple):
    """A value of a time series; `time_s` is the end of what it stands for."""

    time_s: float
    value: float


_Series = Mapping[str, Sequence[_Point]]


def read_throughput(
    reader: JobReader, metrics: JobMetrics, interval: Interval, pcollection: str, waiting: Waiting
) -> Throughput:
    """The throughput of a PCollection.

    The counts at the end of the job, divided by the time. Where the job does not tell its counts, Cloud Monitoring
    does: the last count that it has, divided by the time up to then.

    Args:
        reader: Reads the job.
        metrics: What the job has counted.
        interval: When the workers were at work.
        pcollection: The PCollection's name, such as `PostProcess.out0`.
        waiting: Waits for what comes late.

    Raises:
        DataError: There is no such PCollection, or its counts cannot be read.
    """
    if metrics.elements:
        name = find_pcollection(pcollection, metrics.elements)
        elements, mean_bytes = metrics.elements[name], metrics.mean_bytes.get(name)
        rate = elements / interval.duration_s
        return Throughput(elements, rate, None if mean_bytes is None else rate * mean_bytes)
    elements_per_s = _cumulative_rate(reader, _ELEMENTS, interval, pcollection, waiting)
    return Throughput(None, elements_per_s, _cumulative_rate(reader, _BYTES, interval, pcollection, waiting))


def read_subscription(reader: JobReader, interval: Interval, subscription: str, waiting: Waiting) -> Throughput:
    """The throughput of a streaming job that reads from Pub/Sub: of what its subscription delivered.

    Args:
        reader: Reads the job.
        interval: When the workers were at work.
        subscription: `projects/PROJECT/subscriptions/NAME`, or the name of one in the project of the job.
        waiting: Waits for what comes late.

    Raises:
        ConfigurationError: That is no subscription.
        DataError: What it delivered cannot be read.
    """
    project, name = parse_subscription(subscription, reader.project)
    elements = _delivered(reader, project, name, _MESSAGES, interval, waiting)
    num_bytes = _delivered(reader, project, name, _MESSAGE_BYTES, interval, waiting)
    return Throughput(elements, elements / interval.duration_s, num_bytes / interval.duration_s)


def _cumulative_rate(reader: JobReader, metric: str, interval: Interval, pcollection: str, waiting: Waiting) -> float:
    """The rate of a metric whose values are the count so far."""
    wanted = f'metric.type="{metric}" AND metric.labels.job_id="{reader.job_id}"'
    series, _ = waiting.until(
        lambda: _read(reader, reader.project, wanted, interval, "pcollection"),
        lambda found: _complete(found, interval),
    )
    points = series[find_pcollection(pcollection, series)]
    last = max(points)
    duration_s = min(last.time_s, interval.end_s) - interval.start_s
    if duration_s <= 0:
        raise DataError(f"The throughput of {pcollection!r} is not known: {metric} has no value after the start")
    return last.value / duration_s


def _delivered(
    reader: JobReader, project: str, subscription: str, metric: str, interval: Interval, waiting: Waiting
) -> float:
    """The sum of a metric whose values are what was added since the one before."""
    wanted = f'metric.type="{metric}" AND resource.labels.subscription_id="{subscription}"'
    series, _ = waiting.until(
        lambda: _read(reader, project, wanted, interval, None), lambda found: _complete(found, interval)
    )
    if not series:
        raise DataError(f"Cloud Monitoring has no {metric} of {subscription!r} in project {project} while the job ran")
    return sum(point.value for points in series.values() for point in points)


def _complete(series: _Series, interval: Interval) -> bool:
    """Whether the series reach the end; they are sampled once a minute."""
    last_s = max((point.time_s for points in series.values() for point in points), default=0.0)
    return last_s >= interval.end_s - _SAMPLED_S


def _read(
    reader: JobReader, project: str, wanted: str, interval: Interval, label: str | None
) -> dict[str, list[_Point]]:
    """The time series that fit a filter, by one of their labels; all together without a label."""
    monitoring = reader.clients.monitoring
    from google.cloud import monitoring_v3

    request = monitoring_v3.ListTimeSeriesRequest(
        name=f"projects/{project}",
        filter=wanted,
        interval={"start_time": _timestamp(interval.start_s), "end_time": _timestamp(interval.end_s)},
        view=monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
    )
    answer: list[Any] = reader.clients.ask(
        f"Cloud Monitoring of project {project}", lambda **call: list(monitoring.list_time_series(**call)), request
    )
    found: dict[str, list[_Point]] = {}
    for series in answer:
        name = "" if label is None else series.metric.labels.get(label, "")
        points = [_Point(point.interval.end_time.timestamp(), _number(point.value)) for point in series.points]
        if points:
            found.setdefault(name, []).extend(points)
    return found


def _number(value: Any) -> float:
    plain = type(value).pb(value)
    kind = plain.WhichOneof("value")
    return float(getattr(plain, kind)) if kind in ("int64_value", "double_value") else 0.0


def _timestamp(seconds: float) -> dict[str, int]:
    whole, rest = divmod(round(seconds * 1e9), 10**9)
    return {"seconds": whole, "nanos": rest}


def parse_subscription(subscription: str, project: str = "") -> tuple[str, str]:
    """The project and the name of a subscription.

    Args:
        subscription: `projects/PROJECT/subscriptions/NAME`, or the name alone.
        project: Where it is, if it does not say so itself.

    Raises:
        ConfigurationError: That is no subscription.
    """
    match subscription.split("/"):
        case [name] if name:
            return project, name
        case ["projects", owner, "subscriptions", name] if owner and name:
            return owner, name
    raise ConfigurationError(f"subscription={subscription!r}: expected projects/PROJECT/subscriptions/NAME")
