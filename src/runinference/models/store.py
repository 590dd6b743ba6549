"""Loaded models: each loaded once, shared by all who ask for it, released by the last."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Loaded:
    """A model in memory.

    Attributes:
        model: The model; any Python object.
        load_s: How long loading took, in seconds.
    """

    model: Any
    load_s: float


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    loaded: Loaded | None = None
    users: int = 0


class ModelStore:
    """Keeps models alive while somebody uses them.

    `acquire` with one key loads once, however many threads ask at the same time; the others wait. Each `acquire` is
    paired with a `release`, and the last one lets go of the model. A failed load is not remembered. After a fork the
    child starts with an empty store, because threads, locks and devices of the parent do not survive one.
    """

    def __init__(self) -> None:
        self._reset()

    def acquire(self, key: Hashable, load: Callable[[], Any], on_load: Callable[[Loaded], None]) -> Loaded:
        """The model of `key`, loaded by `load` if nobody has it yet; `on_load` is told if so."""
        with self._lock_of_this_process():
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        try:
            with entry.lock:
                if entry.loaded is None:
                    start = time.perf_counter()
                    model = load()
                    entry.loaded = Loaded(model, time.perf_counter() - start)
                    on_load(entry.loaded)
                return entry.loaded
        except BaseException:
            self._end_use(key, entry)
            raise

    def release(self, key: Hashable, loaded: Loaded) -> bool:
        """Ends one use of the model that `acquire` gave for `key`; says whether it was the last, which drops it."""
        entry = self._entry_of(key, loaded)
        return entry is not None and self._end_use(key, entry)

    def discard(self, key: Hashable, loaded: Loaded) -> None:
        """Gives this model to nobody any more: the next `acquire` loads afresh, whoever still uses this one."""
        with self._lock_of_this_process():
            if self._entry_of(key, loaded) is not None:
                del self._entries[key]

    def _entry_of(self, key: Hashable, loaded: Loaded) -> _Entry | None:
        # There is none after a fork or a discard; and the one that there is may be of a later load.
        entry = self._entries.get(key)
        return entry if entry is not None and entry.loaded is loaded else None

    def _end_use(self, key: Hashable, entry: _Entry) -> bool:
        with self._lock_of_this_process():
            entry.users -= 1
            if entry.users > 0 or self._entries.get(key) is not entry:
                return False
            del self._entries[key]
            return True

    def __len__(self) -> int:
        with self._lock_of_this_process():
            return len(self._entries)

    def _lock_of_this_process(self) -> threading.Lock:
        if os.getpid() != self._pid:
            self._reset()
        return self._lock

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}


MODELS = ModelStore()
"""The store of this process."""
