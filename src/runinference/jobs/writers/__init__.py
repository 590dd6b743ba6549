"""Tables written to one file, which appears under its name only when it is complete.

One module per format, found by the output's suffix; each has a `Writer` subclass called `FormatWriter`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from runinference.errors import ConfigurationError, MissingDependencyError
from runinference.jobs.paths import COMPRESSIONS, file_format, is_url, normal_path

if TYPE_CHECKING:
    import pyarrow as pa

    from runinference.jobs.writers.writer import Writer

WRITERS = {
    "parquet": "runinference.jobs.writers.parquet",
    "csv": "runinference.jobs.writers.csv",
    "jsonl": "runinference.jobs.writers.jsonl",
}
SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson")


def open_writer(
    output: str | os.PathLike[str],
    *,
    schema: pa.Schema | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Writer:
    """A writer for `output`; nothing appears under that name before its `commit()`.

    Args:
        output: A file, local or behind any fsspec URL; its suffix names the format.
        schema: The columns, where they are known before the first batch; else that batch fixes them. With it, an
            output without rows is still a valid file.
        metadata: Notes about the job, stored in a Parquet file's footer; other formats have no room for them.

    Raises:
        ConfigurationError: The suffix is unknown, or `output` is a folder.
        DataError: The file cannot be made there.

    Example:
        >>> with open_writer("scores.parquet") as writer:  # doctest: +SKIP
        ...     for batch in batches:
        ...         writer.write(batch)
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "cli", "read and write tables") from error
    path = normal_path(output)
    known = f"Known suffixes: {', '.join(SUFFIXES)}; all but Parquet also with {', '.join(COMPRESSIONS)}."
    # An output that is a folder will be a writer of its own: parts, and a job that resumes.
    if path.endswith(("/", os.sep)) or (not is_url(path) and os.path.isdir(path)):
        raise ConfigurationError(f"the output {path!r} is a folder; name a file. {known}")
    found = file_format(path)
    if found is None or found.name not in WRITERS:
        raise ConfigurationError(f"cannot tell the format of the output {path!r} by its suffix. {known}")
    module = importlib.import_module(WRITERS[found.name])
    writer: Writer = module.FormatWriter(path, schema=schema, metadata=metadata)
    return writer


def ensure_not_input(output: str | os.PathLike[str], files: Iterable[str]) -> None:
    """Refuses an output that is one of the input files, also under another name or by a link.

    Raises:
        ConfigurationError: Names the file.
    """
    place = normal_path(output)
    for path in files:
        if _same(place, path):
            raise ConfigurationError(f"the output {place!r} is also an input ({path!r}); write to another file")


def _same(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return one.replace(":///", "://") == other.replace(":///", "://")
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)
