"""The metrics of a job, published where its user wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from runinference.metrics import MetricsSnapshot
from runinference.metrics.measurement import Measurement
from runinference.metrics.publisher import Delivery, Publisher
from runinference.report import Recording

if TYPE_CHECKING:
    from runinference.metrics.measurement import State


@contextmanager
def publishing(addresses: Sequence[str], recording: Recording) -> Iterator[list[Delivery]]:
    """Publishes within that a job runs, and at the end what it measured, however it ends.

    Args:
        addresses: Where to; may be empty.
        recording: Watches the job.

    Returns:
        What became of it at each address; empty until the end.

    Raises:
        ConfigurationError: An address cannot work.
        MissingDependencyError: A package is not installed.
    """
    deliveries: list[Delivery] = []
    if not addresses:
        yield deliveries
        return
    publisher = Publisher(addresses)

    def publish(state: State) -> None:
        summary = recording.summary()
        metrics: MetricsSnapshot | dict[str, float | str] = {} if state == "running" else summary.metrics
        publisher.publish(Measurement.of(replace(summary.run, state=state), metrics))

    publish("running")
    try:
        yield deliveries
    except BaseException:
        publish("failed")
        publisher.close()
        raise
    publish("done")
    deliveries += publisher.close()
