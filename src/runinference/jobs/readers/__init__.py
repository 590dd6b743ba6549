"""Tables as Arrow record batches: one module per format, found by the file's suffix.

A reader is a module with two functions:

    inspect(files) -> (schema, num_rows)       looks at every file before any row is read; num_rows may be None
    read(path, schema, batch_rows, set_aside)  the batches of one file, all of them with that schema

Where each file is one row, such as an image, it has this in place of `read`, and may have the constants below:

    read_files(files, first, batch_rows, on_failure)   the batches of several files, `first` of which were before
    FILES_PER_SPLIT                                    how many files make a split
    KEY                                                the column that names a row where the user names none
    NOT_KEPT                                           columns that are too large to be written again
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runinference.errors import ConfigurationError, DataError, MissingDependencyError, closest
from runinference.jobs.paths import expand_input, file_format, is_url
from runinference.prediction import Failure

if TYPE_CHECKING:
    import pyarrow as pa

READERS = {
    "parquet": "runinference.jobs.readers.parquet",
    "csv": "runinference.jobs.readers.csv",
    "jsonl": "runinference.jobs.readers.jsonl",
    "text": "runinference.jobs.readers.text",
    "images": "runinference.jobs.readers.images",
}

OnFailure = Callable[[Failure], None]


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a dataset that is read on its own.

    Attributes:
        path: The file.
        position: Its place in the dataset, counted from 0.
        more: Further files, where each is one row.
    """

    path: str
    position: int
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A table that lies in one or more files of the same format.

    Attributes:
        files: Paths or URLs, in the order in which they are read.
        schema: The columns of every batch.
        num_rows: Rows in all files, where that is known without reading them (Parquet, images), else `None`.
        num_bytes: Size of all files as they lie in storage.
        format: `parquet`, `csv`, `jsonl`, `text` or `images`.
    """

    files: tuple[str, ...]
    schema: pa.Schema
    num_rows: int | None
    num_bytes: int
    format: str
    _reader: Any = field(repr=False, compare=False)

    @property
    def splits(self) -> Sequence[Split]:
        """The parts that `read_split` takes; one after the other they are the whole."""
        size = self._files_per_split
        parts = [self.files[start : start + size] for start in range(0, len(self.files), size)]
        return tuple(Split(path, position, tuple(more)) for position, (path, *more) in enumerate(parts))

    @property
    def _files_per_split(self) -> int:
        return int(getattr(self._reader, "FILES_PER_SPLIT", 1))

    @property
    def key(self) -> str | None:
        """The column that names a row where the user names none; `None` where no column is sure to."""
        key: str | None = getattr(self._reader, "KEY", None)
        return key

    @property
    def kept(self) -> pa.Schema:
        """The columns that go to the output; images are not written again."""
        import pyarrow as pa

        not_kept = getattr(self._reader, "NOT_KEPT", ())
        return pa.schema([field for field in self.schema if field.name not in not_kept], self.schema.metadata)

    def read_split(
        self, split: Split, on_failure: OnFailure | None = None, batch_rows: int = 65536
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one split, at most `batch_rows` to a batch and none of the batches empty.

        Args:
            split: One of `splits`.
            on_failure: Receives each row that cannot be read, with stage `read` and the line's number as its index,
                or the file's number where each file is one row.
            batch_rows: The largest batch.

        Raises:
            DataError: The file is missing or damaged, or a row cannot be read and there is no `on_failure`.
        """
        if batch_rows < 1:
            raise ConfigurationError(f"batch_rows must be at least 1, got {batch_rows}")
        for batch in self._read(split, on_failure, batch_rows):
            for start in range(0, batch.num_rows, batch_rows):
                yield batch.slice(start, batch_rows)

    def _read(self, split: Split, on_failure: OnFailure | None, batch_rows: int) -> Iterator[pa.RecordBatch]:
        from runinference.jobs.readers.set_aside import SetAside

        if hasattr(self._reader, "read_files"):
            before = split.position * self._files_per_split
            yield from self._reader.read_files([split.path, *split.more], before, batch_rows, on_failure)
        else:
            yield from self._reader.read(split.path, self.schema, batch_rows, SetAside(split.path, on_failure))

    def batches(
        self, on_failure: OnFailure | None = None, limit: int | None = None, batch_rows: int = 65536
    ) -> Iterator[pa.RecordBatch]:
        """The rows of all splits in order; stops reading once `limit` rows were given out.

        The arguments and errors are those of `read_split`.
        """
        left = limit
        for split in self.splits:
            if left is not None and left <= 0:
                return
            # A small limit asks for small batches, so that a reader that can stop early does.
            size = batch_rows if left is None else min(batch_rows, left)
            for batch in self.read_split(split, on_failure, size):
                yield batch if left is None else batch.slice(0, left)
                if left is not None and (left := left - batch.num_rows) <= 0:
                    return


def open_dataset(source: str | os.PathLike[str], *, columns_needed: Sequence[str] | None = None) -> Dataset:
    """Finds the files of `source` and checks that they make one table; reads no row yet.

    Args:
        source: A file, a folder or a glob, local or behind any fsspec URL.
        columns_needed: Columns that the caller will use; checked here, so that a typing error costs no job.

    Raises:
        ConfigurationError: A column of `columns_needed` is not there, or the suffix or protocol is unknown.
        DataError: A file is missing, empty or damaged, or the files do not fit together.

    Example:
        >>> dataset = open_dataset("scores/*.parquet", columns_needed=["age"])  # doctest: +SKIP
        >>> rows = sum(batch.num_rows for batch in dataset.batches())  # doctest: +SKIP
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "cli", "read and write tables") from error
    files = expand_input(source)
    found = file_format(files[0])
    assert found is not None
    reader = importlib.import_module(READERS[found.name])
    num_bytes = _stored_bytes(files, may_lack=hasattr(reader, "read_files"))
    schema, num_rows = reader.inspect(files)
    for name in columns_needed or ():
        if name not in schema.names:
            known = ", ".join(schema.names)
            raise ConfigurationError(f"no column {name!r}.{closest(name, schema.names)} The columns are: {known}")
    return Dataset(files, schema, num_rows, num_bytes, found.name, reader)


def _stored_bytes(files: Sequence[str], may_lack: bool) -> int:
    from runinference.jobs.readers.streams import file_size, inspect_all

    def size(path: str) -> int:
        try:
            return file_size(path)
        except DataError:
            if may_lack:  # Where each file is one row, one that is not there is set aside when it is its turn.
                return 0
            raise

    return sum(inspect_all(size, files) if is_url(files[0]) else map(size, files))
