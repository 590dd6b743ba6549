"""Counters, distributions and gauges: what they are called, how they are recorded, how they are shown."""

from runinference.metrics.distribution import Distribution
from runinference.metrics.journal import Journal
from runinference.metrics.recorder import Metrics
from runinference.metrics.snapshot import MetricsSnapshot
from runinference.metrics.table import METRICS, MetricSpec

__all__ = ["METRICS", "Distribution", "Journal", "MetricSpec", "Metrics", "MetricsSnapshot"]
