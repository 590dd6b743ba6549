"""The file of rows that were set aside: JSON Lines, complete at any moment, absent if there were none."""

from __future__ import annotations

import json
import os
import threading
from types import TracebackType
from typing import Any, Self

from runinference.errors import ConfigurationError, DataError
from runinference.jobs.paths import is_url, normal_path
from runinference.jobs.writers.json_values import json_value
from runinference.jobs.writers.output import make_parent, writing
from runinference.prediction import Failure

LONGEST = 10_000


class FailuresFile:
    """Writes each failure as one line, at once, so that the file can be read while the job runs.

    The file of an earlier run is replaced at the start; `close` removes a file without failures. Any number of threads
    may write.

    Args:
        path: A local file.

    Attributes:
        path: The file.
        count: Failures so far.

    Raises:
        ConfigurationError: The path is a URL; object stores cannot be written line by line.
        DataError: The file cannot be made there.

    Example:
        >>> with FailuresFile("failures.jsonl") as failures:  # doctest: +SKIP
        ...     predictions = list(infer(rows, handler, on_failure=failures))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = normal_path(path)
        self.count = 0
        if is_url(self.path):
            raise ConfigurationError(f"the failures file {self.path!r} must be local; it is written line by line")
        self._lock = threading.Lock()
        with writing(self.path):
            make_parent(os.path.realpath(self.path))
            self._file = open(self.path, "wb", buffering=0)  # noqa: SIM115

    def __call__(self, failure: Failure) -> None:
        """Writes one failure, so that the object itself serves as `on_failure`."""
        fields = {name: _short(json_value(value)) for name, value in failure.to_dict().items()}
        line = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self._lock:
            if self._file.closed:
                raise DataError(f"cannot write {self.path}: it was closed already")
            with writing(self.path):
                left = memoryview(line)
                while left:  # a raw file may take less than it is given
                    left = left[self._file.write(left) :]
            self.count += 1

    write = __call__

    def close(self) -> None:
        """Closes the file and removes it if it holds no failure."""
        with self._lock:
            if not self._file.closed:
                self._file.close()
                if not self.count:
                    os.unlink(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _short(value: Any) -> Any:
    """`value`, or its text cut to `LONGEST` characters with a note; the values of a row one by one."""
    if isinstance(value, dict) and len(value) < LONGEST:
        return {name: _cut(item) for name, item in value.items()}
    return _cut(value)


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST:
        return value
    return f"{text[:LONGEST]}… (cut from {len(text):,} characters)"
