"""What all writers share: the schema is fixed once, a fault leaves no file, the name appears at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from runinference.errors import DataError
from runinference.jobs.paths import file_format
from runinference.jobs.writers.conform import conform
from runinference.jobs.writers.output import OutputFile, writing


class Writer(ABC):
    """Writes record batches to one file; as a context manager it commits, or aborts when an exception passes.

    Args:
        path: The final name, a path or a URL.
        schema: The columns; without it the first batch fixes them.
        metadata: Notes for the file, where its format has room for them.

    Attributes:
        path: The final name.
        rows: Rows written so far.
    """

    needs_schema = True

    def __init__(
        self, path: str, *, schema: pa.Schema | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        self.rows = 0
        self._schema: pa.Schema | None = None
        self._metadata = dict(metadata or {})
        self._done = False
        self._output = OutputFile(path)
        if schema is not None:
            self._fix(schema)

    @property
    def bytes_written(self) -> int:
        """Bytes in storage so far; what is still gathered in memory does not count."""
        return self._output.bytes_written

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch.

        Raises:
            DataError: A column is missing, unexpected or of another type, or the disk is full; the file is given up.
        """
        if self._done:
            raise DataError(f"cannot write {self.path}: it was committed or aborted already")
        if self._schema is None:
            self._fix(batch.schema)
        with self._guarded():
            self._write(conform(batch, self._schema, self.path))
        self.rows += batch.num_rows

    def commit(self) -> None:
        """Completes the file and gives it its name, in place of what had it.

        Raises:
            DataError: The disk is full, or there was neither a batch nor a schema; nothing is left behind.
        """
        if self._done:
            raise DataError(f"cannot commit {self.path}: it was committed or aborted already")
        with self._guarded():
            if self._schema is None and self.needs_schema:
                raise DataError(f"cannot write {self.path}: there were no rows, so its columns are not known")
            self._finish()
            self._output.commit()
        self._done = True

    def abort(self) -> None:
        """Gives the file up without a trace; does nothing after `commit` or `abort`."""
        if not self._done:
            self._done = True
            self._drop()
            self._output.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and not self._done:
            self.commit()
        else:
            self.abort()

    @abstractmethod
    def _start(self, schema: pa.Schema) -> None:
        """Prepares for rows of this schema."""

    @abstractmethod
    def _write(self, batch: pa.RecordBatch) -> None:
        """Writes a batch of the fixed schema."""

    @abstractmethod
    def _finish(self) -> None:
        """Writes what is left; the output is closed afterwards."""

    @abstractmethod
    def _drop(self) -> None:
        """Lets go of Arrow's writer, whatever it then says; must work before `_start` too."""

    def _fix(self, schema: pa.Schema) -> None:
        with self._guarded():
            self._start(schema)
        self._schema = schema

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with writing(self.path):
                yield
        except BaseException:
            self.abort()
            raise

    def _sink(self) -> Any:
        """The output for Arrow, compressed where its suffix says so."""
        found = file_format(self.path)
        raw = pa.PythonFile(self._output, mode="w")
        return pa.CompressedOutputStream(raw, found.compression) if found and found.compression else raw
