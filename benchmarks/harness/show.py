"""Results as a table for people and as one JSON document for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness.result import Result

_HEADER = ("case", "ours", "peer", "ratio (min-max)", "target", "met")


def table(results: Sequence[Result]) -> str:
    """The table, with the notes below it."""
    rows = [_HEADER, *(_row(result) for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{result.case}: {text}" for result in results if (text := result.skipped or result.note)]
    return "\n".join([*lines, "", *notes])


def document(results: Sequence[Result], about: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps({**about, "results": [result.to_dict() for result in results]})


def _row(result: Result) -> tuple[str, ...]:
    if result.skipped is not None:
        return (result.case, "skipped", "", "", "", "")
    met = {True: "yes", False: "NO", None: ""}[result.met] if result.answers_equal else "ANSWERS DIFFER"
    target = ""
    if result.target is not None:
        target = f"{'>=' if result.at_least else '<='} {result.target:g} {result.value_unit}"
    return (
        result.case,
        _figure(result.ours, result.unit),
        _figure(result.peer, result.unit),
        _spread(result),
        target,
        met,
    )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {unit}"


def _spread(result: Result) -> str:
    if result.value is None:
        return ""
    return f"{result.value:.3g} {result.value_unit} ({min(result.values):.3g}-{max(result.values):.3g})"
