"""Values that every destination of measurements can take: JSON, databases, wire formats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def encodable(text: Any) -> str:
    """A text without the lone surrogates that names of files may have, which nothing outside of Python takes."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def finite_numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Those values that are finite numbers, as floats or small integers of Python's own."""
    for name, value in values.items():
        try:
            number = value if type(value) in (int, float) and abs(value) < 2**63 else float(value)
        except (OverflowError, TypeError, ValueError):
            continue
        if math.isfinite(number):
            yield encodable(name), number


def as_json_values(value: Any) -> Any:
    """What a user gave, as JSON knows it: mappings, lists, texts, finite numbers, booleans and `None`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {encodable(name): as_json_values(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json_values(inner) for inner in value]
    return encodable(value)
