"""Files as streams of bytes, wherever they lie and however they are compressed; every fault names the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pyarrow as pa

from runinference.errors import DataError
from runinference.jobs.paths import file_format, is_url, open_filesystem

T = TypeVar("T")


def open_stream(path: str) -> pa.NativeFile:
    """The bytes of `path`, decompressed where its suffix says so."""
    found = file_format(path)
    with naming(path):
        raw = open_file(path)
        return pa.CompressedInputStream(raw, found.compression) if found and found.compression else raw


def open_file(path: str) -> pa.NativeFile:
    """The bytes of `path` as they lie in storage; can be read at any position."""
    with naming(path):
        if not is_url(path):
            return pa.OSFile(path)
        filesystem, inner = open_filesystem(path)
        return pa.PythonFile(filesystem.open(inner, "rb"), mode="r")


def file_size(path: str) -> int:
    """Size of `path` in storage, in bytes; 0 where a server does not tell."""
    with naming(path):
        if not is_url(path):
            return os.stat(path).st_size
        filesystem, inner = open_filesystem(path)
        return int(filesystem.size(inner) or 0)


@contextmanager
def naming(path: str, what: str = "cannot read") -> Iterator[None]:
    """Turns what Arrow or the operating system raise within into a `DataError` that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{what} {path}: {' '.join(reason.split())}") from error


def each_named(items: Iterator[T], path: str, what: str = "cannot read") -> Iterator[T]:
    """`items`, with every fault while the next one is made named as `naming` does."""
    while True:
        with naming(path, what):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def inspect_all(inspect: Callable[[str], T], files: Sequence[str]) -> list[T]:
    """`inspect` of every file, in order; several at a time, because a remote file costs a round trip each."""
    with ThreadPoolExecutor(min(16, len(files))) as pool:
        return list(pool.map(inspect, files))


def refuse_empty(path: str, size: int) -> None:
    """Raises for a file of 0 bytes, which no writer leaves that finished."""
    if size == 0:
        raise DataError(f"{path} is empty (0 bytes)")


def plain(value: Any, length: int = 80) -> str:
    """`value` for an error message, cut to about `length` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
