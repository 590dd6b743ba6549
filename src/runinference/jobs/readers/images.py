"""Images: one row for each file, with its path and its bytes as they are; what runs the model decodes them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from runinference.errors import DataError
from runinference.jobs.paths import is_url, open_filesystem
from runinference.prediction import Failure

SCHEMA = pa.schema([("path", pa.string()), ("image", pa.binary())])
KEY = "path"
NOT_KEPT = ("image",)
FILES_PER_SPLIT = 1024

# A batch is what one thread pre-processes at a time: decoded, an image takes about ten times its bytes in the file.
BATCH_ROWS = 32
BATCH_BYTES = 16 << 20
# Behind a URL each file costs a round trip, so several are on their way at the same time.
FILES_AT_ONCE = 16

_LARGEST = (1 << 31) - 2  # an Arrow array of bytes ends there
_Content = bytes | Exception


def inspect(files: Sequence[str]) -> tuple[pa.Schema, int | None]:
    """The schema, which is always the same, and one row for each file."""
    return SCHEMA, len(files)


def read_files(
    files: Sequence[str], first: int, batch_rows: int, on_failure: Callable[[Failure], None] | None
) -> Iterator[pa.RecordBatch]:
    """The files in batches of a few rows and about `BATCH_BYTES`; one that is empty or cannot be read is set aside.

    Args:
        files: Paths, or URLs of one file system.
        first: How many files of the dataset come before them.
        batch_rows: The largest batch.
        on_failure: Receives each file that is set aside, with its number in the dataset, from 1, as its index.

    Raises:
        DataError: A file cannot be read and there is no `on_failure`.
    """
    most = min(batch_rows, BATCH_ROWS)
    paths: list[str] = []
    images: list[bytes] = []
    contents = _several_at_once(files, min(batch_rows, FILES_AT_ONCE)) if is_url(files[0]) else map(_content, files)
    for number, (path, content) in enumerate(zip(files, contents, strict=True), first + 1):
        reason = _fault(content)
        if reason is not None:
            _set_aside(path, number, reason, on_failure)
            continue
        paths.append(_valid(path))
        images.append(content)  # type: ignore[arg-type]
        if len(images) >= most or sum(map(len, images)) >= BATCH_BYTES:
            yield _batch(paths, images)
            paths, images = [], []
    if images:
        yield _batch(paths, images)


def _batch(paths: list[str], images: list[bytes]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(paths, pa.string()), pa.array(images, pa.binary())], schema=SCHEMA)


def _several_at_once(urls: Sequence[str], at_once: int) -> Iterator[_Content]:
    with ThreadPoolExecutor(at_once, "runinference-fetch") as pool:
        ahead: deque[Future[_Content]] = deque()
        for url in urls:
            ahead.append(pool.submit(_content, url))
            if len(ahead) == at_once:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _content(path: str) -> _Content:
    """The bytes of a file, or why they cannot be had."""
    try:
        if is_url(path):
            filesystem, inner = open_filesystem(path)
            content: bytes = filesystem.cat_file(inner)
            return content
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return file.read() if size <= _LARGEST else _too_large(size)
    except Exception as error:  # Each protocol has its own.
        return error


def _fault(content: _Content) -> str | None:
    """Why there is no image; `None` where there are bytes."""
    if isinstance(content, Exception):
        text = content.strerror if isinstance(content, OSError) and content.strerror else str(content)
        return f"cannot be read: {' '.join(text.split()) or type(content).__name__}"
    if len(content) > _LARGEST:
        return _fault(_too_large(len(content)))
    return None if content else "is empty (0 bytes)"


def _too_large(size: int) -> Exception:
    return ValueError(f"it has {size:,} bytes, and an image may have {_LARGEST:,}")


def _set_aside(path: str, number: int, reason: str, on_failure: Callable[[Failure], None] | None) -> None:
    shown = _valid(path)
    error = DataError(f"{shown} {reason}")
    if on_failure is None:
        raise error
    on_failure(Failure.from_exception(error, example={"path": shown}, index=number, stage="read", key=shown))


def _valid(path: str) -> str:
    """The path as UTF-8, which the names of old files may not be."""
    return path if path.isascii() else path.encode(errors="backslashreplace").decode()
