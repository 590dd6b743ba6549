"""JSON Lines line by line: what reads a block that Arrow refuses."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from runinference.jobs.readers.set_aside import SetAside
from runinference.jobs.readers.streams import plain


class _UnfitError(ValueError):
    """The line is no object, or not one of these columns."""


def read(block: bytes, done: int, schema: pa.Schema, set_aside: SetAside) -> pa.RecordBatch:
    """The rows of the block that fit; the others are set aside.

    Args:
        block: Whole lines.
        done: Lines of the file before them.
        schema: What each object must fit.
        set_aside: Receives the lines that do not.
    """
    types = {field.name: field.type for field in schema}
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(block.split(b"\n"), done + 1):
        if not line.strip():
            continue
        try:
            rows.append(_row(line, types))
        except (ValueError, RecursionError) as error:
            set_aside(line.decode(errors="backslashreplace"), number, _reason(error))
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def _row(line: bytes, types: dict[str, pa.DataType]) -> dict[str, Any]:
    value = json.loads(line.decode(), object_pairs_hook=_object)
    if not isinstance(value, dict):
        raise _UnfitError(f"expected a JSON object, found {_name(value)} {plain(value)}")
    for name in value:
        if name not in types:
            raise _UnfitError(f"unknown key {name!r}; the columns, from the first rows, are: {', '.join(types)}")
    return {name: _fitted(item, types[name], name) for name, item in value.items()}


def _fitted(value: Any, kind: pa.DataType, place: str) -> Any:
    """`value` as the column takes it, without any change that loses something."""
    if value is None:
        return None
    if pa.types.is_struct(kind) and isinstance(value, dict):
        inner = {field.name: field.type for field in kind}
        for name in value:
            if name not in inner:
                raise _UnfitError(f"unknown key {f'{place}.{name}'!r}")
        return {name: _fitted(item, inner[name], f"{place}.{name}") for name, item in value.items()}
    if pa.types.is_list(kind) and isinstance(value, list):
        return [_fitted(item, kind.value_type, f"{place}[]") for item in value]
    if pa.types.is_string(kind) and isinstance(value, str):
        value.encode()  # half of a surrogate pair is valid JSON, but no text
        return value
    if pa.types.is_boolean(kind) and isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if pa.types.is_floating(kind):
            return float(value)
        if pa.types.is_integer(kind) and isinstance(value, int) and -(2**63) <= value < 2**63:
            return value
    raise _UnfitError(f"column {place!r}: expected {kind}, found {_name(value)} {plain(value)}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _UnfitError(f"key {twice!r} appears {names.count(twice)} times")
    return found


def _name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _reason(error: Exception) -> str:
    if isinstance(error, _UnfitError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error}"
    if isinstance(error, UnicodeEncodeError):
        return f"not text: {error}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return f"not JSON: {error}"
