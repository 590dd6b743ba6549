"""Checks of what a caller passes to the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runinference.errors import ConfigurationError


def check_examples(examples: Any) -> None:
    """Checks that `examples` is an iterable of rows.

    Raises:
        ConfigurationError: It is a table, or one text or dict, or nothing to iterate over.
    """
    kind = type(examples)
    if isinstance(examples, (str, bytes, Mapping)):
        raise ConfigurationError(f"examples must be an iterable of rows, got one {kind.__name__}")
    if kind.__module__.partition(".")[0] in {"pandas", "polars", "pyarrow"} and kind.__name__ in _TABLES:
        raise ConfigurationError(
            f"infer() and map() take rows one by one; a {kind.__name__} is a table: use infer_table()"
        )
    if not isinstance(examples, Iterable) or getattr(examples, "ndim", 1) == 0:
        raise ConfigurationError(f"examples must be an iterable of rows, got {kind.__name__}")


def check_batch(batch: Any) -> None:
    """Checks that an element of ready-made batches is one.

    Raises:
        ConfigurationError: It has no rows.
    """
    if not hasattr(batch, "__len__") or isinstance(batch, (str, bytes, Mapping)):
        raise ConfigurationError(
            f"with_no_batching() needs elements that are batches, such as lists or arrays; got {type(batch).__name__}"
        )


_TABLES = frozenset({"DataFrame", "LazyFrame", "RecordBatch", "RecordBatchReader", "Table"})


def check_arguments(**arguments: Any) -> None:
    """Checks the arguments of an engine, by name.

    Raises:
        ConfigurationError: One has a wrong type or is out of range.
    """
    for name in ("retries", "workers"):
        value = arguments[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise ConfigurationError(f"{name} must be a whole number of at least 0, got {value!r}")
    for name in ("timeout_s", "load_timeout_s"):
        value = arguments[name]
        if value is not None and not (isinstance(value, (int, float)) and value > 0):
            raise ConfigurationError(f"{name} must be seconds above 0, got {value!r}")
    for name in ("model_identifier", "hosted_as"):
        value = arguments[name]
        if value is not None and not callable(value) and (not isinstance(value, str) or not value):
            raise ConfigurationError(f"{name} must be a text, got {value!r}")
    interval_s = arguments["watch_interval_s"]
    if isinstance(interval_s, bool) or not isinstance(interval_s, (int, float)) or not interval_s > 0:
        raise ConfigurationError(f"watch_interval_s must be seconds above 0, got {interval_s!r}")
    for name in ("on_failure", "progress"):
        value = arguments[name]
        if value is not None and not isinstance(value, bool) and not callable(value):
            raise ConfigurationError(f"{name} must be a function, got {value!r}")
