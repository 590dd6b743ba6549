"""Price tables in files: the one that comes with the package, and those of users."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from runinference.benchmarks.cost.prices import GpuPrice, MachineType, Prices, Rates
from runinference.errors import ConfigurationError, DataError, closest

_RATES = ("vcpu_hour", "memory_gb_hour", "pd_gb_hour", "ssd_gb_hour")
_TEXTS = ("date", "region", "currency", "source")
_Check = Callable[[str, Any], Iterator[str]]


def load_prices(path: str | Path | None = None) -> Prices:
    """The prices of a file, or those that come with the package.

    Args:
        path: A JSON file like the one that `python -m runinference.benchmarks.cost` prints.

    Raises:
        DataError: It cannot be read.
        ConfigurationError: It is not a price table; every entry that is missing, wrong or unknown is named.

    Example:
        ```python
        from runinference.benchmarks.cost import load_prices

        load_prices().gpu("T4").gpu_hour  # 0.42
        ```
    """
    if path is None:
        return _shipped()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text in UTF-8"
        raise DataError(f"The prices {path} cannot be read: {reason}") from error
    return _parse(text, str(path))


def shipped_text() -> str:
    """The file that comes with the package."""
    return files(__package__).joinpath("prices.json").read_text(encoding="utf-8")


@functools.cache
def _shipped() -> Prices:
    return _parse(shipped_text(), "prices.json")


def _parse(text: str, name: str) -> Prices:
    try:
        table = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{name} is no price table: it is not JSON ({error})") from error
    problems = list(_table_problems(table))
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigurationError(
            f"{name} is no price table:{listed}\n`python -m runinference.benchmarks.cost` prints one to start from"
        )
    return Prices(
        **{key: table[key] for key in _TEXTS},
        batch=_rates(table["batch"], "shuffle_gb"),
        streaming=_rates(table["streaming"], "streaming_data_gb"),
        gpus={name: GpuPrice(name, **entry) for name, entry in table["gpus"].items()},
        machine_types={name: _machine_type(name, entry) for name, entry in table["machine_types"].items()},
    )


def _rates(entry: Mapping[str, float], data: str) -> Rates:
    return Rates(**{key: float(entry[key]) for key in _RATES}, data_gb=float(entry[data]))


def _machine_type(name: str, entry: Mapping[str, Any]) -> MachineType:
    gpus = entry.get("gpus", 1 if "gpu" in entry else 0)
    return MachineType(name, entry["vcpus"], entry["memory_gb"], entry.get("gpu"), int(gpus), entry.get("hour"))


def _table_problems(table: Any) -> Iterator[str]:
    """What is wrong with a table."""
    texts: dict[str, _Check] = {"date": _date, "region": _text, "currency": _currency, "source": _text}
    sections: dict[str, _Check] = {
        "batch": lambda place, value: _entry(place, value, _prices(*_RATES, "shuffle_gb")),
        "streaming": lambda place, value: _entry(place, value, _prices(*_RATES, "streaming_data_gb")),
        "gpus": lambda place, value: _entries(place, value, {"accelerator": _text, **_prices("gpu_hour")}),
        "machine_types": lambda place, value: _entries(
            place,
            value,
            {"vcpus": _size, "memory_gb": _size},
            {"gpu": _one_of(list(_section(table, "gpus"))), "gpus": _count, **_prices("hour")},
        ),
    }
    yield from _entry("", table, texts | sections)
    for name, machine in _section(table, "machine_types").items():
        if isinstance(machine, dict) and "gpus" in machine and "gpu" not in machine:
            yield f"machine_types.{name}.gpus: it needs gpu beside it, which says of which type they are"


def _entries(
    place: str, value: Any, required: Mapping[str, _Check], optional: Mapping[str, _Check] | None = None
) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: expected entries by name, got {value!r}"
        return
    for name, entry in value.items():
        yield from _entry(f"{place}.{name}", entry, required, optional)


def _entry(
    place: str, value: Any, required: Mapping[str, _Check], optional: Mapping[str, _Check] | None = None
) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place or 'the document'}: expected an object with {', '.join(required)}, got {_short(value)}"
        return
    checks = {**required, **(optional or {})}
    inside = f"{place}." if place else ""
    yield from (f"{inside}{name}: it is missing" for name in required if name not in value)
    for name, inner in value.items():
        if name in checks:
            yield from checks[name](f"{inside}{name}", inner)
        else:
            yield f"{inside}{name}: there is no such entry.{closest(name, checks)}"


def _prices(*names: str) -> dict[str, _Check]:
    return dict.fromkeys(names, _price)


def _price(place: str, value: Any) -> Iterator[str]:
    if not _is_number(value) or value < 0:
        yield f"{place}: expected a price of 0 or more, got {_short(value)}"


def _size(place: str, value: Any) -> Iterator[str]:
    if not _is_number(value) or value <= 0:
        yield f"{place}: expected a number above 0, got {_short(value)}"


def _count(place: str, value: Any) -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        yield f"{place}: expected a whole number above 0, got {_short(value)}"


def _text(place: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip():
        yield f"{place}: expected a text, got {_short(value)}"


def _date(place: str, value: Any) -> Iterator[str]:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        yield f"{place}: expected a day such as '2026-11-21', got {_short(value)}"


def _currency(place: str, value: Any) -> Iterator[str]:
    # A history that holds several currencies under one name would compare them.
    if value != "USD":
        yield f"{place}: expected 'USD', which EstimatedCost is in, got {_short(value)}; convert the prices"


def _one_of(names: list[str]) -> _Check:
    def check(place: str, value: Any) -> Iterator[str]:
        if value not in names:
            yield f"{place}: {_short(value)} is none of gpus: {', '.join(names)}.{closest(str(value), names)}"

    return check


def _section(table: Any, name: str) -> Mapping[str, Any]:
    """A part of a table that may be anything."""
    found = table.get(name) if isinstance(table, dict) else None
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
