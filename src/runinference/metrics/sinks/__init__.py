"""Where measurements go: one file for each kind of destination."""

from runinference.metrics.sinks.open import open_sink
from runinference.metrics.sinks.sink import Rejected, Sink, Unavailable

__all__ = ["Rejected", "Sink", "Unavailable", "open_sink"]
