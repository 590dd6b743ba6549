"""Measurements that wait on disk until their destination has taken them."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runinference.metrics.locked import locked
from runinference.metrics.measurement import Measurement

_SUFFIX, _UNFINISHED = ".json", ".tmp"
_MOST_BYTES = 64 * 2**20
_ABANDONED_S = 3600.0


class Spool:
    """A folder with the measurements that one destination has not taken yet.

    It outlives the process: what a run could not deliver, the next one to the same destination does. When it is full,
    the oldest leave. Several processes may use one folder.

    Args:
        folder: Where the folders of all destinations are.
        destination: The name of the destination.
        most_bytes: The largest size.

    Attributes:
        dropped: How many measurements had to leave.
    """

    def __init__(self, folder: Path, destination: str, most_bytes: int = _MOST_BYTES) -> None:
        self._folder = folder / hashlib.sha256(destination.encode()).hexdigest()[:20]
        self._most_bytes = most_bytes
        self._last_ns: int | None = None
        self.dropped = 0

    def put(self, measurement: Measurement) -> None:
        """Keeps a measurement; it is there whole or not at all, whenever the process is killed.

        Raises:
            OSError: The disk does not take it.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._last_ns is None:
            self._last_ns = self._left_behind()
        # In their order, also where the clock goes backwards.
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        path = self._folder / f"{self._last_ns:020}-{uuid.uuid4().hex}{_SUFFIX}"
        temporary = path.with_suffix(_UNFINISHED)
        try:
            temporary.write_text(measurement.to_json(), encoding="utf-8")
            temporary.rename(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        self._make_room(path)

    def __iter__(self) -> Iterator[tuple[Path, Measurement]]:
        """What is kept, the oldest first; a file that holds nothing of ours is removed.

        While one is looked at, other processes wait for it, so that only one of them delivers it.
        """
        for path in self._files():
            try:
                file = path.open("rb")
            except OSError:  # Another process has delivered it, or it cannot be read now.
                continue
            with file, locked(file):
                if not path.exists():
                    continue
                try:
                    measurement = Measurement.from_json(file.read().decode())
                except ValueError:
                    self._drop(path)
                    continue
                yield path, measurement

    def __len__(self) -> int:
        return len(self._files())

    def remove(self, path: Path) -> None:
        """Takes away what was delivered."""
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def _drop(self, path: Path) -> None:
        self.remove(path)
        self.dropped += 1

    def _left_behind(self) -> int:
        """The time of the newest file of earlier runs; removes what those that were killed have not finished."""
        with suppress(OSError):
            for path in self._folder.glob(f"*{_UNFINISHED}"):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    self.remove(path)
        newest = self._files()[-1:]
        return max((int(path.name[:20]) for path in newest if path.name[:20].isdecimal()), default=0)

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if path.suffix == _SUFFIX)
        except OSError:  # Nothing was kept, or nothing can be.
            return []

    def _make_room(self, newest: Path) -> None:
        sizes = {path: _size(path) for path in self._files()}
        too_many = sum(sizes.values()) - self._most_bytes
        for path, size in sizes.items():
            if too_many > 0 and path != newest:
                self._drop(path)
                too_many -= size


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
