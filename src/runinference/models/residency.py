"""Which of many models are in memory at one time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from runinference.errors import EngineClosedError


class Resident(Protocol):
    """A model that may be in memory or not."""

    def load(self) -> float:
        """Loads the model, if it is not loaded yet; the seconds that this took."""

    def evict(self) -> None:
        """Lets go of the model."""

    @property
    def num_bytes(self) -> int | None:
        """The bytes that it held when it was loaded last; `None` if it never was, or nobody can tell."""


@dataclass(slots=True)
class _Stay:
    users: int = 0
    load_s: float = 0.0
    since: float = field(default_factory=time.monotonic)


class Residency:
    """Lets models into memory, at most so many or so many bytes; the least recently used one makes room.

    A model that is in use never leaves. Who has more work for a model than one batch keeps it, and asks
    `should_leave` between two batches: that says yes once others wait and the model has stayed for as long as it took
    to load. So models that take turns spend no more than about half of the time with loading, and none waits for ever.

    Args:
        max_models: Most models at one time; `None` for no limit.
        max_bytes: Most bytes that they hold together; `None` for no limit. A larger model is let in alone.
    """

    def __init__(self, max_models: int | None, max_bytes: int | None) -> None:
        self._max_models = max_models
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._stays: OrderedDict[Resident, _Stay] = OrderedDict()
        self._waiting = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._stays)

    def enter(self, model: Resident) -> None:
        """Waits until `model` may be in memory, and loads it if it is not; `leave` ends the use.

        Raises:
            EngineClosedError: Nothing is let in any more.
            ModelLoadError: It cannot be loaded.
        """
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._closed or self._let_in(model))
            finally:
                self._waiting -= 1
            if self._closed:
                raise EngineClosedError("The engine was closed while a model waited to be loaded")
            stay = self._stays[model]
        try:
            load_s = model.load()
        except BaseException:
            with self._changed:
                stay.users -= 1
                if not stay.users:
                    self._stays.pop(model, None)
                self._changed.notify_all()
            raise
        with self._changed:
            stay.load_s = max(stay.load_s, load_s)
            self._make_room()

    def should_leave(self, model: Resident) -> bool:
        """Whether somebody who has more work for a model should let others in first."""
        with self._changed:
            stay = self._stays[model]
            return self._waiting > 0 and time.monotonic() - stay.since - stay.load_s >= stay.load_s

    def leave(self, model: Resident) -> None:
        """Ends a use."""
        with self._changed:
            self._stays[model].users -= 1
            self._make_room()
            self._changed.notify_all()

    def close(self) -> None:
        """Lets nothing in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _let_in(self, model: Resident) -> bool:
        stay = self._stays.get(model)
        if stay is None:
            while self._stays and not self._fits(model):
                if not self._evict_one():
                    return False
            stay = self._stays[model] = _Stay()
        stay.users += 1
        self._stays.move_to_end(model)
        return True

    def _fits(self, model: Resident) -> bool:
        if self._max_models is not None and len(self._stays) >= self._max_models:
            return False
        if self._max_bytes is None:
            return True
        known = [other.num_bytes or 0 for other in self._stays]
        # A model that was never loaded is taken for as large as the largest that was.
        expected = max(known, default=0) if model.num_bytes is None else model.num_bytes
        return sum(known) + expected <= self._max_bytes

    def _make_room(self) -> None:
        """Models turn out to be larger than expected once they are loaded."""
        if self._max_bytes is None:
            return
        while len(self._stays) > 1 and sum(model.num_bytes or 0 for model in self._stays) > self._max_bytes:
            if not self._evict_one():
                return

    def _evict_one(self) -> bool:
        for model, stay in self._stays.items():
            if not stay.users:
                del self._stays[model]
                model.evict()
                return True
        return False
