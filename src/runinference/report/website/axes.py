"""Axes: where their ends and marks are, and what these are called."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runinference.report.website.words import MONTHS, moment

_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
_TIMES: Final = ((7200.0, 3600.0, "h"), (600.0, 60.0, "min"), (1.0, 1.0, "s"), (1e-3, 1e-3, "ms"), (0.0, 1e-6, "µs"))
_LETTERS: Final = ((1e9, "G"), (1e6, "M"), (1e4, "k"))
_BYTES: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0.0, "bytes"))
_MINUTE_S: Final = 60
_HOUR_S: Final = 60 * _MINUTE_S
_DAY_S: Final = 24 * _HOUR_S
_MINUTES: Final = (1, 2, 5, 10, 30)
_HOURS: Final = (1, 2, 3, 6, 12)
_DAYS: Final = (1, 2, 7, 14)
_MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 600)


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        low: The value at its beginning.
        high: The value at its end.
        marks: Values with what is written there.
    """

    low: float
    high: float
    marks: Sequence[tuple[float, str]]

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two places."""
        return start + (value - self.low) / (self.high - self.low) * (end - start)


def value_axis(low: float, high: float, unit: str, most: int = 5) -> Axis:
    """An axis for values from `low` to `high`.

    It begins at zero, unless that would squeeze the values into a small part of it; and it is long enough that a
    scatter of some per cent does not look like a change.
    """
    is_share = unit == "ratio" and high <= 1
    least = 0.2 * max(abs(low), abs(high)) or 1.0
    if high - low < least:
        rest = (least - (high - low)) / 2
        low, high = low - rest if low < 0 else max(0.0, low - rest), high + rest
    if 0 <= low < 0.5 * high or unit == "times":
        low = 0.0
    factor, suffix = _unit(high, unit)
    step = _step((high - low) / factor, most)
    first, last = math.floor(low / factor / step + 1e-9), math.ceil(high / factor / step - 1e-9)
    if is_share:
        last = min(last, round(100 / step))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    marks = [(number * step * factor, _written(number * step, decimals, suffix)) for number in range(first, last + 1)]
    return Axis(first * step * factor, last * step * factor, marks)


def time_axis(low: float, high: float, most: int) -> Axis:
    """An axis for times from `low` to `high`, in seconds since 1970."""
    if low == high:
        when = moment(low)
        return Axis(low - _HOUR_S, high + _HOUR_S, [(low, f"{_day(low)} {when.year}, {when:%H:%M}")])
    if high - low < _MINUTE_S:
        low, high = low - _MINUTE_S, high + _MINUTE_S
    room = 0.01 * (high - low)
    low, high = low - room, high + room
    for marks in _candidates(low, high):
        if len(marks) <= most:
            break
    return Axis(low, high, marks)


def _unit(high: float, unit: str) -> tuple[float, str]:
    """By what values are divided before they are written, and what stands behind them."""
    high = abs(high)
    if unit in _SECONDS:
        _, factor, name = next(row for row in _TIMES if high * _SECONDS[unit] >= row[0])
        return factor / _SECONDS[unit], f" {name}"
    if unit in ("bytes", "bytes/s"):
        least, name = next(row for row in _BYTES if high >= row[0])
        return least or 1.0, f" {name}{unit[5:]}"
    if unit == "ratio":
        return 0.01, " %"
    letter = next((row for row in _LETTERS if high >= row[0]), None)
    if letter is not None:
        # Ten thousands are written as `20k`.
        return (1e3 if letter[1] == "k" else letter[0]), letter[1]
    return 1.0, {"%": " %", "times": "×", "USD": " $"}.get(unit, "")


def _step(length: float, most: int) -> float:
    """A round step that fits into a length up to `most` times."""
    magnitude = 10.0 ** math.floor(math.log10(length / most))
    return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude * most >= length * (1 - 1e-9))


def _written(number: float, decimals: int, suffix: str) -> str:
    text = f"{number:,.{decimals}f}"
    return f"${text}" if suffix == " $" else f"{text}{suffix}"


def _candidates(low: float, high: float) -> Iterator[list[tuple[float, str]]]:
    """Marks at round times, the most of them first."""
    for step in (*(_MINUTE_S * minutes for minutes in _MINUTES), *(_HOUR_S * hours for hours in _HOURS)):
        places = _multiples(low, high, step)
        yield [(at, _hour(at) if number else f"{_day(at)}, {moment(at):%H:%M}") for number, at in enumerate(places)]
    for days in _DAYS:
        # The epoch was a Thursday; weeks begin on Mondays.
        places = _multiples(low, high, days * _DAY_S, 4 * _DAY_S if days >= 7 else 0)
        yield [(at, _day(at) if number else f"{_day(at)} {moment(at).year}") for number, at in enumerate(places)]
    for months in _MONTH_STEPS:
        yield _months(low, high, months)


def _multiples(low: float, high: float, step: float, shift: float = 0) -> list[float]:
    first, last = math.ceil((low - shift) / step), math.floor((high - shift) / step)
    # What is too many is not even made; the next candidate is asked for.
    return [shift + number * step for number in range(first, min(last, first + 100) + 1)]


def _months(low: float, high: float, step: int) -> list[tuple[float, str]]:
    start, end = moment(low), moment(high)
    first, last = start.year * 12 + start.month, end.year * 12 + end.month
    months = [datetime(number // 12, number % 12 + 1, 1, tzinfo=start.tzinfo) for number in range(first, last)]
    chosen = [month for month in months if (month.year * 12 + month.month - 1) % step == 0][:100]
    labels = [
        f"{MONTHS[month.month - 1]} {month.year}" if place == 0 or month.month == 1 else MONTHS[month.month - 1]
        for place, month in enumerate(chosen)
    ]
    if step >= 12:
        labels = [str(month.year) for month in chosen]
    return [(month.timestamp(), label) for month, label in zip(chosen, labels, strict=True)]


def _day(seconds: float) -> str:
    when = moment(seconds)
    return f"{when.day} {MONTHS[when.month - 1]}"


def _hour(seconds: float) -> str:
    when = moment(seconds)
    return f"{when:%H:%M}" if when.hour or when.minute else _day(seconds)
