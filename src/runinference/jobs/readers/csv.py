"""CSV and TSV: types from the first block of every file, then a streaming read with those types.

As long as every row converts, Arrow does all the work. At the first row that does not, the rest of the file is read by
`careful_csv`, which tells the rows apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from runinference.errors import DataError
from runinference.jobs.paths import file_format
from runinference.jobs.readers import careful_csv
from runinference.jobs.readers.lines import line_blocks
from runinference.jobs.readers.schemas import one_schema, replace_types
from runinference.jobs.readers.set_aside import SetAside
from runinference.jobs.readers.streams import file_size, inspect_all, naming, open_stream, refuse_empty

# Measured: blocks of 1 MiB read as fast as larger ones, and Arrow's threads do not help a streaming read.
BLOCK_BYTES = 1 << 20
SAMPLE_BYTES = 8 << 20
ALL_SAMPLES_BYTES = 64 << 20


def inspect(files: Sequence[str]) -> tuple[pa.Schema, int | None]:
    """The common schema of all files; types that do not go together become text."""
    sample = max(BLOCK_BYTES, min(SAMPLE_BYTES, ALL_SAMPLES_BYTES // len(files)))
    schemas = inspect_all(lambda path: _sampled(path, sample), files)
    schema = one_schema(files, schemas, loosest=pa.string())
    # A column without any value yet may hold anything later; bytes are text that some row will fail to decode.
    return replace_types(schema, {pa.null(): pa.string(), pa.binary(): pa.string()}), None


def read(path: str, schema: pa.Schema, batch_rows: int, set_aside: SetAside) -> Iterator[pa.RecordBatch]:
    """The batches of one file; ragged rows and rows with a value of another type are set aside."""
    del batch_rows
    last: pa.RecordBatch | None = None
    for last in _batches(path, schema, set_aside):
        yield last
    # Arrow closes an open quote at the end of the file without a word, with all the rows since then in one value.
    if last is not None and _ends_within_value(last) and _quotes(path) % 2:
        raise DataError(f"{path}: a quote is never closed; the last value holds the rest of the file")


def _batches(path: str, schema: pa.Schema, set_aside: SetAside) -> Iterator[pa.RecordBatch]:
    delimiter = _delimiter(path)
    done = 0
    convert = csv.ConvertOptions(column_types=schema, include_columns=schema.names)
    with open_stream(path) as stream:
        try:
            for batch in _open(stream, delimiter, BLOCK_BYTES, convert):
                done += batch.num_rows
                yield batch
            return
        except (pa.ArrowException, UnicodeDecodeError):
            pass
        except OSError as error:
            raise DataError(f"cannot read {path}: {error}") from error
    yield from careful_csv.read(path, schema, delimiter, BLOCK_BYTES, done, set_aside)


def _ends_within_value(batch: pa.RecordBatch) -> bool:
    texts = (column for column in batch.columns if pa.types.is_string(column.type))
    return batch.num_rows > 0 and any(str(column[-1]).endswith("\n") for column in texts)


def _quotes(path: str) -> int:
    return sum(block.count(b'"') for block in line_blocks(path))


def _sampled(path: str, sample: int) -> pa.Schema:
    """Names and types of one file, from its first `sample` bytes."""
    refuse_empty(path, file_size(path))
    delimiter = _delimiter(path)
    with open_stream(path) as stream, naming(path):
        if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{path} is UTF-16; only UTF-8 can be read. Convert it: iconv -f UTF-16 -t UTF-8")
    with open_stream(path) as stream, naming(path):
        try:
            schema = _open(stream, delimiter, sample).schema
        except pa.ArrowInvalid:
            # Something in the sample is ragged or not UTF-8, which the careful reader can pass over.
            return careful_csv.sampled(path, delimiter, sample)
    doubles = [field.name for field in schema if pa.types.is_floating(field.type)]
    if not doubles or len(set(schema.names)) < len(schema.names):
        return schema
    # Integers too long for 64 bits come out as rounded floats; they are names of something, so they stay text.
    convert = csv.ConvertOptions(column_types=dict.fromkeys(doubles, pa.string()), include_columns=doubles)
    with open_stream(path) as stream, naming(path):
        texts = next(iter(_open(stream, delimiter, sample, convert)), None)
    if texts is None:
        return schema
    for name in doubles:
        if pc.any(pc.match_substring_regex(texts.column(name), r"^\s*[+-]?\d{19,}\s*$")).as_py():
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    return schema


def _open(
    stream: pa.NativeFile, delimiter: str, block: int, convert: csv.ConvertOptions | None = None
) -> csv.CSVStreamingReader:
    return csv.open_csv(
        stream,
        read_options=csv.ReadOptions(use_threads=False, block_size=block),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=convert,
    )


def _delimiter(path: str) -> str:
    found = file_format(path)
    return "\t" if found is not None and found.suffix == ".tsv" else ","
