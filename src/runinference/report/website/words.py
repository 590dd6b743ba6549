"""Runs and their figures in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from runinference.metrics.history import Run
from runinference.metrics.snapshot import human
from runinference.report.website.archive import Section
from runinference.report.website.quantities import Measured

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST_S = 2e11  # About the year 8300: what is later is no time, and would be none to `datetime`.
_COMMIT = 7
_SECONDS_SHOWN_S = 600
_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}


def moment(seconds: float) -> datetime:
    """A time since 1970 as a date."""
    return _EPOCH + timedelta(seconds=seconds)


def started(run: Run) -> float:
    """When a run was started, in seconds since 1970; what no calendar has is the nearest that it has."""
    return max(0.0, min(run.info.started, _FARTHEST_S))


def day(run: Run) -> str:
    """The same as a date: `2026-03-14`."""
    return f"{moment(started(run)):%Y-%m-%d}"


def minute(run: Run) -> str:
    """The same with the time: `2026-03-14 03:50`."""
    return f"{moment(started(run)):%Y-%m-%d %H:%M}"


def version(run: Run) -> str:
    """The version of this package that ran."""
    return str(run.info.versions.get("runinference", "unknown version"))


def commit(run: Run) -> str:
    """The beginning of the commit that ran; empty where it is not known."""
    return (run.info.commit or "")[:_COMMIT]


def release(run: Run) -> str:
    """Version and commit: `0.1.0 a1b2c3d`."""
    return f"{version(run)} {commit(run)}".strip()


def amount(value: float, unit: str) -> str:
    """A value with its unit."""
    if unit == "times":
        return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"
    if unit == "USD":
        return _money(value)
    if unit == "bytes/s":
        return f"{human(value, 'bytes')}/s"
    if unit in _SECONDS and 0 < value * _SECONDS[unit] < _SECONDS_SHOWN_S:
        return _duration(value * _SECONDS[unit])
    return human(value, unit).strip()


def _money(value: float) -> str:
    """At least cents, and three digits of what is less than that."""
    return f"${value:,.{max(2, 2 - math.floor(math.log10(value))) if value > 0 else 2}f}"


def _duration(seconds: float) -> str:
    """Three digits, so that one sees what passes differ by."""
    factor, name = next((row for row in ((1.0, "s"), (1e-3, "ms")) if seconds >= row[0]), (1e-6, "µs"))
    shown = float(f"{seconds / factor:.3g}")
    return f"{shown:,.{max(0, 2 - math.floor(math.log10(shown)))}f} {name}"


def spread(figure: Measured, unit: str) -> str:
    """The smallest and the largest: `40.8 s – 42.0 s`; empty where they are the same."""
    low, high = amount(figure.low, unit), amount(figure.high, unit)
    return "" if low == high else f"{low} – {high}"


def percent(ratio: float) -> str:
    """By how much a ratio differs from one: `12 %`."""
    return f"{abs(ratio - 1) * 100:.2g} %" if abs(ratio - 1) < 0.095 else f"{abs(ratio - 1) * 100:.0f} %"


def work_title(section: Section) -> str:
    """What a section did, in one line: `resnet50, 50,000 elements, cpu`."""
    model, examples = section.work.get("model"), section.work.get("examples")
    parts = [] if model in (None, "default") else [str(model)]
    if isinstance(examples, int):
        parts.append(human(examples, "elements") if examples != 1 else "1 element")
    elif examples is not None:
        parts.append(f"{examples} elements")
    parts.append(section.device)
    parts += [f"{name} {told(value)}" for name, value in _other_work(section)]
    return ", ".join(parts)


def work_pairs(section: Section) -> Iterator[tuple[str, str]]:
    """What a section did, by name."""
    yield "Model", str(section.work.get("model", "unknown"))
    examples = section.work.get("examples", "unknown")
    yield "Elements", f"{examples:,}" if isinstance(examples, int) else str(examples)
    yield "Accelerator", "none, on the CPU" if section.device == "cpu" else section.device
    for name, value in _other_work(section):
        yield name.replace("_", " ").capitalize(), told(value)


def machine(section: Section) -> str:
    """A machine in one line."""
    return " · ".join(text for _, text in machine_pairs(section))


def machine_pairs(section: Section) -> Iterator[tuple[str, str]]:
    """What is known of a machine, by name."""
    host, processor, cores, memory = section.machine
    yield "Host", host or "unknown"
    if processor:
        yield "Processor", processor
    yield "Cores", "1 core" if cores == 1 else f"{cores} cores"
    if memory is not None:
        yield "Memory", human(memory, "bytes")


def told(value: Any) -> str:
    """A value of the options in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _other_work(section: Section) -> list[tuple[str, Any]]:
    shown = ("model", "examples", "device")
    return [(str(name), value) for name, value in section.work.items() if name not in shown]
