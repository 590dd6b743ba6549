"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from runinference.errors import DataError
from runinference.jobs.paths import is_url, open_filesystem


class OutputFile:
    """What a writer writes to: a file-like object with `commit()` and `abort()`.

    Locally the bytes go to `<name>.tmp-<random>` beside the output, which is renamed at the end. Elsewhere they go
    through an fsspec transaction, so a store that commits uploads shows nothing before.

    Args:
        path: The final name, a path or a URL.

    Attributes:
        path: The final name.
        bytes_written: Bytes so far, as they lie in storage.

    Raises:
        DataError: The file cannot be made there.
    """

    closed = False  # Arrow asks; it must not close what `commit` has yet to flush

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes_written = 0
        self._file: Any
        self._place: _LocalPlace | _RemotePlace
        with writing(path):
            self._place = _RemotePlace(path) if is_url(path) else _LocalPlace(path)
            self._file = self._place.open()

    def write(self, data: Any) -> int:
        """Writes all bytes of a buffer."""
        size = memoryview(data).nbytes
        self._file.write(data)
        self.bytes_written += size
        return size

    def tell(self) -> int:
        """Where the next byte goes."""
        return self.bytes_written

    def flush(self) -> None:
        """Nothing: `commit` flushes."""

    def close(self) -> None:
        """Nothing: `commit` or `abort` closes."""

    def commit(self) -> None:
        """Makes the bytes durable and gives them their name, in place of what had it."""
        with writing(self.path):
            self._file.close()
            self._place.commit()

    def abort(self) -> None:
        """Leaves no trace; what had the name before keeps it."""
        # The disk may be full or the network gone, and it is too late to do anything about it.
        with suppress(Exception):
            self._file.close()
        with suppress(Exception):
            self._place.discard()


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns what Arrow or the operating system raise within into a `DataError` that names the output."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"disk full while writing {path}") from error
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise DataError(f"cannot write {path}: {error}") from error


def make_parent(path: str) -> str | None:
    """Makes the folder of `path` if only that is missing; returns it if it was made.

    Raises:
        DataError: More than one level is missing, which is more likely a typing error than a wish.
    """
    parent = os.path.dirname(path)
    if os.path.isdir(parent):
        return None
    above = os.path.dirname(parent)
    if not os.path.isdir(above):
        raise DataError(f"cannot write {path}: neither the folder {parent!r} nor {above!r} exists")
    os.mkdir(parent)
    return parent


class _LocalPlace:
    def __init__(self, path: str) -> None:
        # A link stays a link: what it points to is replaced.
        self._target = os.path.realpath(path)
        self._temporary = f"{self._target}.tmp-{secrets.token_hex(4)}"
        self._made = make_parent(self._target)

    def open(self) -> Any:
        return open(self._temporary, "xb", buffering=1 << 20)

    def commit(self) -> None:
        _sync(self._temporary)
        os.replace(self._temporary, self._target)
        _sync(os.path.dirname(self._target))

    def discard(self) -> None:
        os.unlink(self._temporary)
        if self._made:
            os.rmdir(self._made)


class _RemotePlace:
    def __init__(self, url: str) -> None:
        # An instance of its own, because a transaction holds for everything that an instance writes.
        self._filesystem, self._path = open_filesystem(url, skip_instance_cache=True)
        self._transaction = self._filesystem.transaction
        self._transaction.start()

    def open(self) -> Any:
        return self._filesystem.open(self._path, "wb")

    def commit(self) -> None:
        self._transaction.complete(commit=True)

    def discard(self) -> None:
        self._transaction.complete(commit=False)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
