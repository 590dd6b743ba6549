"""One at a time with a file, of all threads and processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(file: Any) -> Iterator[None]:
    """Waits for whoever else has locked an open file, and holds others off; does nothing where there are no locks.

    Whoever is killed lets go of it.
    """
    if fcntl is None:
        yield
        return
    with suppress(OSError):  # Some file systems of networks have no locks.
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        # Not only closed: a process that was forked meanwhile may have it open too.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
