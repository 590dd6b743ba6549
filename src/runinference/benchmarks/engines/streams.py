"""Engines that are given elements one by one, as they come, and answer each as soon as they can."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Self

from runinference.benchmarks.open_loop import Done
from runinference.engine.engine import Engine

THREADS = 16
"""Bundles that a worker of Beam runs at a time."""

_ROWS, _BATCHES = "inference_request_batch_size_SUM", "inference_request_batch_size_COUNT"


class Stream(ABC):
    """A model that is loaded and answers elements; a context manager.

    Attributes:
        load_s: Seconds that loading the model took.
    """

    load_s = 0.0

    @abstractmethod
    def __enter__(self) -> Self:
        """Loads the model."""

    @abstractmethod
    def __exit__(self, *exc_info: object) -> None:
        """Ends it."""

    @abstractmethod
    def batch(self, elements: Sequence[Any]) -> list[Any]:
        """The answers for elements that are all there at once."""

    @abstractmethod
    def send(self, element: Any, done: Done) -> None:
        """Has an element answered and returns before that; `done` is given the answer, or why there is none."""

    @abstractmethod
    def drop(self) -> None:
        """Gives up all elements that were not begun, and waits for the others."""

    @abstractmethod
    def metrics(self) -> Mapping[str, float | str]:
        """What was measured up to now, by the names of the engine's table."""

    def batches(self) -> tuple[float, float]:
        """How many rows the model was given up to now, and in how many batches."""
        metrics = self.metrics()
        return float(metrics.get(_ROWS, 0)), float(metrics.get(_BATCHES, 0))


class SubmitStream(Stream):
    """`Engine.submit`.

    Args:
        handler: The handler.
    """

    def __init__(self, handler: Any) -> None:
        self._engine = Engine(handler)
        self._open: set[Future[Any]] = set()

    def __enter__(self) -> Self:
        start = time.perf_counter()
        self._engine.load()
        self.load_s = time.perf_counter() - start
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._engine.close()

    def batch(self, elements: Sequence[Any]) -> list[Any]:
        """What `Engine.map` gives."""
        return list(self._engine.map(elements))

    def send(self, element: Any, done: Done) -> None:
        """Submits it."""
        future = self._engine.submit(element)
        self._open.add(future)
        future.add_done_callback(partial(self._done, done))

    def drop(self) -> None:
        """Cancels futures."""
        left = list(self._open)
        for future in left:
            future.cancel()
        wait(left)

    def metrics(self) -> Mapping[str, float | str]:
        """Those of the engine."""
        return self._engine.metrics().to_dict()

    def _done(self, done: Done, future: Future[Any]) -> None:
        self._open.discard(future)
        if future.cancelled():
            done(None, CancelledError())
        elif (error := future.exception()) is not None:
            done(None, error)
        else:
            done(future.result(), None)


class BundleStream(Stream):
    """A transform for Beam on the threads of a worker: each runs bundles of one element.

    Args:
        transform: The transform.
        observe: Further metrics.
        end: Called when all is done.
    """

    def __init__(
        self,
        transform: Any,
        observe: Callable[[], Mapping[str, float | str]] = dict,
        end: Callable[[], object] | None = None,
    ) -> None:
        self._transform = transform
        self._observe = observe
        self._end = end
        self._stack = ExitStack()
        self._waiting: SimpleQueue[tuple[Any, Done] | None] = SimpleQueue()
        self._running = _Count()

    def __enter__(self) -> Self:
        from runinference.benchmarks.engines.bundles import Steps, pickled_steps

        pickled = pickled_steps(self._transform)
        if self._end is not None:
            self._stack.callback(self._end)
        # One copy for each thread, as a worker has them, and one for batches.
        copies = [Steps(pickled) for _ in range(THREADS + 1)]
        start = time.perf_counter()
        self._stack.enter_context(copies[0])
        self.load_s = time.perf_counter() - start  # The others share its model.
        for each in copies[1:]:
            self._stack.enter_context(each)
        self._copies = copies
        self._threads = [threading.Thread(target=self._serve, args=[each], daemon=True) for each in copies[1:]]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.drop()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def batch(self, elements: Sequence[Any]) -> list[Any]:
        """One bundle of all elements."""
        return self._copies[0].bundle(elements)

    def send(self, element: Any, done: Done) -> None:
        """Leaves it to the next thread that has nothing to do."""
        self._running.add(1)
        self._waiting.put((element, done))

    def drop(self) -> None:
        """Takes elements back from the threads."""
        while True:
            try:
                item = self._waiting.get_nowait()
            except Empty:
                break
            if item is not None:
                item[1](None, CancelledError())
                self._running.add(-1)
        self._running.wait_for_none()

    def metrics(self) -> Mapping[str, float | str]:
        """Those that Beam is told, of all threads, and further ones."""
        from runinference.benchmarks.engines.bundles import metrics_of

        return {**metrics_of(self._copies), **self._observe()}

    def _serve(self, steps: Any) -> None:
        while (item := self._waiting.get()) is not None:
            element, done = item
            try:
                (answer,) = steps.bundle([element])
            except BaseException as error:
                done(None, error)
            else:
                done(answer, None)
            finally:
                self._running.add(-1)


class _Count:
    """A number that threads change, and that others wait for."""

    def __init__(self) -> None:
        self._number = 0
        self._changed = threading.Condition()

    def add(self, amount: int) -> None:
        with self._changed:
            self._number += amount
            if not self._number:
                self._changed.notify_all()

    def wait_for_none(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._number)
