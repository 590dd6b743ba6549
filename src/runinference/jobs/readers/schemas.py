"""One schema for all files of a dataset, or an error that says which file does not fit."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from runinference.errors import DataError


def one_schema(
    files: Sequence[str],
    schemas: Sequence[pa.Schema],
    *,
    loosest: pa.DataType | None = None,
    optional: bool = False,
) -> pa.Schema:
    """The schema that every file can be read with.

    Args:
        files: Paths, for the messages.
        schemas: What each file holds.
        loosest: The type of a column whose types do not go together; without it that is an error.
        optional: Whether a file may lack columns that another one has.

    Raises:
        DataError: Names the file, the column and what was expected.
    """
    fields: dict[str, pa.Field] = {}
    first: dict[str, str] = {}
    for path, schema in zip(files, schemas, strict=True):
        _check_names(path, schema, files[0], None if optional else schemas[0])
        for field in schema:
            known = fields.setdefault(field.name, field)
            origin = first.setdefault(field.name, path)
            common = common_type(known.type, field.type) or loosest
            if common is None:
                raise DataError(f"{path}: column {field.name!r} is {field.type}, but {origin} has {known.type}")
            fields[field.name] = pa.field(
                field.name, common, known.nullable or field.nullable, known.metadata or field.metadata
            )
    return pa.schema(list(fields.values()), metadata=schemas[0].metadata)


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both, or `None` if there is none."""
    if one == other:
        return one
    if pa.types.is_dictionary(one) or pa.types.is_dictionary(other):
        one, other = plain_type(one), plain_type(other)
    try:
        pair = [pa.schema([("x", one)]), pa.schema([("x", other)])]
        return pa.unify_schemas(pair, promote_options="permissive").field("x").type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None


def plain_type(kind: pa.DataType) -> pa.DataType:
    """`kind` without dictionary encoding."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def replace_types(schema: pa.Schema, rules: dict[pa.DataType, pa.DataType]) -> pa.Schema:
    """`schema` with every type that `rules` names replaced, also within lists and structs."""

    def replaced(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_list(kind):
            return pa.list_(replaced(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([(field.name, replaced(field.type)) for field in kind])
        if pa.types.is_timestamp(kind):
            return rules.get(pa.timestamp("s"), kind)
        return rules.get(kind, kind)

    return pa.schema([(field.name, replaced(field.type)) for field in schema])


def _check_names(path: str, schema: pa.Schema, first_path: str, first: pa.Schema | None) -> None:
    repeated = [name for name in schema.names if schema.names.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: column {repeated[0]!r} appears {schema.names.count(repeated[0])} times")
    if first is None:
        return
    missing = [name for name in first.names if name not in schema.names]
    extra = [name for name in schema.names if name not in first.names]
    if missing:
        raise DataError(f"{path}: column {_listed(missing)} is missing, but {first_path} has it")
    if extra:
        raise DataError(f"{path}: column {_listed(extra)} is not in {first_path}; all files need the same columns")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
