"""Any Python object as what JSON has room for."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

DEEPEST = 50


def json_value(value: Any, depth: int = 0) -> Any:
    """`value` made of dicts with text keys, lists, texts, numbers, booleans and null.

    NaN and infinities become null, bytes base64, decimals and times text; arrays, Arrow and pandas objects become
    lists or dicts. An unknown object becomes its `repr`.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return _valid(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > DEEPEST:
        return _shown(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    if isinstance(value, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, Mapping):
        return {_valid(str(key)): json_value(item, depth + 1) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return json_value(value._asdict(), depth + 1)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(item, depth + 1) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: json_value(getattr(value, field.name), depth + 1) for field in fields}
    return _converted(value, depth)


def _converted(value: Any, depth: int) -> Any:
    """Arrays, Arrow, pandas and PyTorch objects by the conversion that they offer; these packages are not imported."""
    for name in ("as_py", "to_pylist", "tolist", "to_dict"):
        if isinstance(value, type) or not callable(getattr(value, name, None)):
            continue
        try:
            return json_value(getattr(value, name)(), depth + 1)
        except Exception:
            return _shown(value)
    return _shown(value)


def _shown(value: Any) -> str:
    try:
        return str(_valid(repr(value)))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr fails: {type(error).__name__}>"


def _valid(value: Any) -> Any:
    """Texts without halves of surrogate pairs, which no UTF-8 file can hold."""
    if not isinstance(value, str):
        return bool(value) if isinstance(value, bool) else value if value is None else int(value)
    return str(value) if value.isascii() else value.encode(errors="backslashreplace").decode()
