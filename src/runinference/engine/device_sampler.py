"""Looks once a second how busy the GPUs of a run are, and how much of their memory is in use."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from runinference.engine.gpus import Gpus, has_driver, open_gpus
from runinference.metrics import Metrics

_logger = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
_PATIENCE_S = 2.0
_CUDA = re.compile(r"(?:gpu|cuda)(?::(\d+))?")


class DeviceSampler:
    """Records what the GPUs tell that this process uses, from a thread that is there while rows are running.

    Nothing happens before `look`. Where there is no GPU, or none is used, the thread ends at once.

    Args:
        metrics: Where to record.
        named: The GPUs that handlers name, by their numbers, for a process that the driver does not find on any; given
            how many there are.
        is_working: Whether a model ran since this was last asked; asked only where runs wait for callers.
        open_devices: Finds the GPUs.
        may_be_there: Whether there may be GPUs, which is asked before there is a thread.
        interval_s: Seconds between two looks.
    """

    def __init__(
        self,
        metrics: Metrics,
        named: Callable[[int], set[int]],
        is_working: Callable[[], bool],
        open_devices: Callable[[], Gpus | None] = open_gpus,
        may_be_there: Callable[[], bool] = has_driver,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._metrics = metrics
        self._named = named
        self._is_working = is_working
        self._open = open_devices
        self._may_be_there = may_be_there
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._runs = self._runs_that_idle = 0
        self._used: set[int] = set()
        self._look_for_more = False

    @contextmanager
    def run(self, idles: bool) -> Iterator[None]:
        """Within it rows are running.

        Args:
            idles: Rows come from callers, so that there may be none for long; then nothing is recorded.
        """
        with self._changed:
            self._runs += 1
            self._runs_that_idle += idles
            if self._used:  # As it was found in a run before.
                self._start()
        try:
            yield
        finally:
            with self._changed:
                self._runs -= 1
                self._runs_that_idle -= idles

    def look(self) -> None:
        """Looks which GPUs are used, after a model ran for the first time."""
        if not self._closed and self._may_be_there():
            with self._changed:
                self._look_for_more = True
                self._start()

    def close(self) -> None:
        """Looks no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=_PATIENCE_S)  # Not for ever: a driver may hang.

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="runinference-devices", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        devices: Gpus | None = None
        try:
            devices = self._open()
            if devices is None:
                self._closed = True
                return
            while True:
                self._sample(devices)
                if not self._wait():
                    return
        except Exception:  # Whatever a driver does, the rows go on.
            _logger.info("GPUs are no longer measured", exc_info=True)
            self._closed = True
        finally:
            if devices is not None:
                devices.close()

    def _sample(self, devices: Gpus) -> None:
        """Records what the GPUs tell now."""
        if self._look_for_more:
            self._look_for_more = False
            self._used |= devices.used() or self._named(len(devices))
        memory: list[int] = []
        for number in sorted(self._used):
            reading = devices.read(number)
            if reading is None:
                _logger.info("GPU %d is lost", number)
                self._used.discard(number)
                continue
            if reading.busy is not None:
                self._metrics.observe("device_utilization_percent", reading.busy)
            if reading.used_bytes is not None:
                memory.append(reading.used_bytes)
        if memory:
            self._metrics.observe("device_memory_used_bytes", sum(memory))

    def _wait(self) -> bool:
        """Waits until it is time to look again; false where nothing is to be seen any more."""
        while True:
            with self._changed:
                if self._used:
                    self._changed.wait_for(lambda: self._closed, self._interval_s)
                elif self._look_for_more:
                    return True
                if self._closed or not self._used or not self._runs:
                    self._thread = None  # From here on a run or a look starts another one.
                    return False
                all_idle = self._runs == self._runs_that_idle
            if not all_idle or self._is_working():
                return True


def named_gpus(handler: Any, count: int) -> set[int]:
    """The numbers of the GPUs that a handler uses, as far as it, or PyTorch in this process, tells.

    Args:
        handler: The handler.
        count: How many GPUs there are.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found = {number for number in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(number)}
        if found:
            return found
    # Handlers for PyTorch keep it there, those of Beam too; the models of some run in other processes.
    names = getattr(handler, "_devices", None) or [getattr(handler, "_device", None)]
    if names == "all":
        return set(range(count))
    matches = (_CUDA.fullmatch(str(name).lower()) for name in names)
    return {number for match in matches if match and (number := int(match[1] or 0)) < count}
