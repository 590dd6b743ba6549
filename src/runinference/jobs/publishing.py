"""The metrics of a job, published where its user wants them."""

from __future__ import annotations

from collections.abc import Sequence

from runinference.metrics import MetricsSnapshot
from runinference.metrics.measurement import Measurement
from runinference.metrics.publisher import Delivery, Publisher
from runinference.report import Recording


def open_publisher(addresses: Sequence[str]) -> Publisher | None:
    """The way to all addresses; none where there are none.

    Raises:
        ConfigurationError: An address cannot work.
        MissingDependencyError: A package is not installed.
    """
    return Publisher(addresses) if addresses else None


def publish(publisher: Publisher | None, recording: Recording, metrics: MetricsSnapshot) -> list[Delivery]:
    """Publishes what a job measured, and says what became of it."""
    if publisher is None:
        return []
    publisher.publish(Measurement.of(recording.summary().run, metrics))
    return publisher.close()
