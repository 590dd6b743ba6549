"""Predictions that a device is still computing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Pending(Sequence[Any]):
    """The predictions for a batch that was handed to a device, to be read once the device is done.

    A handler that returns this from `run_inference` lets the engine hand the next batch to the device meanwhile.
    Whoever reads it waits.

    Args:
        predictions: A sequence that must not be read before `wait` has returned.
        wait: Waits until the device is done, or raises what went wrong. It is called once.
    """

    def __init__(self, predictions: Sequence[Any], wait: Callable[[], None]) -> None:
        self._predictions = predictions
        self._wait: Callable[[], None] | None = wait

    def wait(self) -> Sequence[Any]:
        """The predictions, once they are there."""
        if self._wait is not None:
            self._wait()
            self._wait = None
        return self._predictions

    def __len__(self) -> int:
        return len(self._predictions)

    def __getitem__(self, position: Any) -> Any:
        return self.wait()[position]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.wait())
