"""Later batches brought to the first one's schema, or refused; never changed in value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from runinference.errors import DataError
from runinference.jobs.readers.schemas import common_type, plain_type


def conform(batch: pa.RecordBatch, schema: pa.Schema, path: str) -> pa.RecordBatch:
    """`batch` with the columns of `schema`, in its order and with its types; the same object where they agree.

    Raises:
        DataError: A column is missing or unexpected, or a value would change.
    """
    if batch.schema.equals(schema):
        return batch
    names = batch.schema.names
    if sorted(names) != sorted(schema.names):
        missing = [name for name in schema.names if name not in names]
        extra = [name for name in names if name not in schema.names]
        raise DataError(
            f"cannot write {path}: a batch has other columns than the first; missing: {missing}, unexpected: {extra}"
        )
    columns = []
    for field in schema:
        column = batch.column(field.name)
        fitted = column if column.type == field.type else _exact(column, field.type)
        if fitted is None:
            raise DataError(
                f"cannot write {path}: column {field.name!r} is {field.type} since the first batch, and a later batch "
                f"has {column.type} values that do not fit"
            )
        columns.append(fitted)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _exact(column: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """`column` as `kind`, or `None` if a value would change."""
    common = common_type(column.type, kind)
    if common is None:
        return None
    try:
        fitted = column.cast(kind)
        # Arrow refuses a cast that truncates or overflows, but rounds a float64 to float32 without a word.
        if common != plain_type(kind) and not _same(fitted.cast(column.type), column):
            return None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return fitted


def _same(one: pa.Array, other: pa.Array) -> bool:
    if one.equals(other):
        return True
    while pa.types.is_list(one.type) or pa.types.is_large_list(one.type) or pa.types.is_fixed_size_list(one.type):
        one, other = one.flatten(), other.flatten()
    if not pa.types.is_floating(one.type) or one.null_count != other.null_count:
        return False
    left, right = (part.to_numpy(zero_copy_only=False) for part in (one, other))
    return np.array_equal(left, right, equal_nan=True)
