"""Failures by their reason, with a few examples of each, in bounded memory however many there are."""

from __future__ import annotations

import re
import reprlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runinference.prediction import Failure

MOST_GROUPS: Final = 50
MOST_EXAMPLES: Final = 3
LONGEST_MESSAGE: Final = 500
LONGEST_EXAMPLE: Final = 400
LONGEST_TRACEBACK: Final = 3000

# What differs between messages of one kind: quoted text, and numbers.
_VARYING = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<![A-Za-z_])-?\d[\d.,_]*(?:e[+-]?\d+)?)""")


@dataclass(frozen=True, slots=True)
class FailedRow:
    """One failed row, as a reader sees it.

    Attributes:
        index: Its position in the input.
        key: Its key, shortened; `None` where there is none.
        example: The row itself, shortened.
        message: What was said about it, shortened.
    """

    index: int
    key: str | None
    example: str
    message: str


@dataclass(slots=True)
class FailureGroup:
    """The failures of one reason.

    Attributes:
        stage: Where they failed.
        error_type: Class of the exception.
        reason: Its message, with an ellipsis for what differs between the rows.
        count: How many there are.
        rows: The first few.
        traceback: The traceback of the first.
    """

    stage: str
    error_type: str
    reason: str
    count: int = 0
    rows: list[FailedRow] = field(default_factory=list)
    traceback: str = ""


class FailureGroups:
    """Collects failures by their reason; may be called from any thread, as `on_failure`.

    Messages that differ in quoted texts and numbers alone are one reason. When there are many reasons, the later ones
    share one group.

    Attributes:
        count: Failures so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[tuple[str, ...], tuple[FailureGroup, list[str]]] = {}
        self._lock = threading.Lock()

    def __call__(self, failure: Failure) -> None:
        """Takes note of a failure; nothing of the row is kept but a short text."""
        parts = _VARYING.split(_cut(failure.message.partition("\n")[0], LONGEST_MESSAGE))
        key = (failure.stage, failure.error_type, *parts[::2])
        with self._lock:
            self.count += 1
            if key not in self._groups and len(self._groups) >= MOST_GROUPS:
                key, parts = ("", "other reasons"), [""]
            if key not in self._groups:
                self._groups[key] = FailureGroup(key[0], key[1], reason=""), parts
            group, common = self._groups[key]
            group.count += 1
            for position, part in enumerate(parts):
                if common[position] != part:
                    common[position] = "…"
            if len(group.rows) < MOST_EXAMPLES:
                group.traceback = group.traceback or _cut(failure.traceback, LONGEST_TRACEBACK)
                group.rows.append(_row(failure))

    def groups(self) -> list[FailureGroup]:
        """The groups, the largest first."""
        with self._lock:
            for group, common in self._groups.values():
                group.reason = "".join(common)
            return sorted((group for group, _ in self._groups.values()), key=lambda group: -group.count)


def _row(failure: Failure) -> FailedRow:
    return FailedRow(
        failure.index,
        None if failure.key is None else short(failure.key),
        short(failure.example),
        _cut(failure.message, LONGEST_MESSAGE),
    )


def short(value: Any) -> str:
    """A value as text of bounded length; a mapping as `name: value` pairs."""
    if isinstance(value, str):
        return _cut(value, LONGEST_EXAMPLE)
    if isinstance(value, Mapping):
        return _cut(", ".join(_pairs(value)), LONGEST_EXAMPLE)
    return _cut(_Short().repr(value), LONGEST_EXAMPLE)


def _pairs(value: Mapping[Any, Any]) -> Iterator[str]:
    for name, item in list(value.items())[: LONGEST_EXAMPLE // 4]:
        yield f"{_cut(str(name), 60)}: {_Short().repr(item)}"


class _Short(reprlib.Repr):
    """Representations of bounded length that are not made in full first."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxdict = self.maxlist = self.maxtuple = 8

    def repr_bytes(self, value: bytes, _level: int) -> str:
        head = repr(value[: self.maxstring // 4])
        return head if len(value) <= self.maxstring // 4 else f"{head}… ({len(value):,} bytes)"

    repr_bytearray = repr_bytes

    def repr_memoryview(self, value: memoryview, level: int) -> str:
        return self.repr_bytes(bytes(value[: self.maxstring]), level)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"
