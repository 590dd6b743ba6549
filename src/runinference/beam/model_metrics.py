"""Metrics that a handler counts itself, with `beam.metrics.Metrics`, while it runs the model."""

from __future__ import annotations

from collections import deque
from typing import Any

from apache_beam.runners.worker import statesampler


class ModelMetrics:
    """Keeps what is counted in the engine's threads until a thread of Beam's counts it.

    Beam counts in threads of its own only, with the step and the bundle that run there.
    """

    def __init__(self) -> None:
        self._updates: deque[tuple[Any, Any]] = deque()

    def listen(self) -> None:
        """Takes note, from now on, of what is counted in this thread."""
        if statesampler.get_current_tracker() is None:
            statesampler.set_current_tracker(_Tracker(self._updates))

    def count(self) -> None:
        """Counts everything in this thread, in the bundle that runs there."""
        tracker = statesampler.get_current_tracker()
        if tracker is None or isinstance(tracker, _Tracker):
            return
        for _ in range(len(self._updates)):
            tracker.update_metric(*self._updates.popleft())


class _Tracker:
    """Stands in for what Beam has in each of its threads; it only needs to know what is counted."""

    metrics_container = None
    name_context = None
    name = None

    def __init__(self, updates: deque[tuple[Any, Any]]) -> None:
        self._updates = updates

    def update_metric(self, name: Any, value: Any) -> None:
        self._updates.append((name, value))

    def current_state(self) -> _Tracker:
        return self
