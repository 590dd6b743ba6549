"""Rows that are made when they are asked for, out of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MethodType
from typing import Any

Make = Callable[[tuple[Any, ...]], Any] | type[tuple[Any, ...]]


class Zipped(Sequence[Any]):
    """A sequence whose item `i` is made of item `i` of each column, each time it is asked for.

    A batch of results held like this costs no object for each row until the consumer takes them one by one, so
    thousands of short-lived objects never pile up for the garbage collector to walk through.

    Args:
        make: Makes a row of a tuple with one item of each column; or a class of tuples, which the tuple becomes.
        columns: Sequences of one length, at least one.
    """

    __slots__ = ("_columns", "_make")

    def __init__(self, make: Make, columns: tuple[Any, ...]) -> None:
        self._make = make
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Any]:
        return map(_maker(self._make), zip(*self._columns, strict=True))

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return Zipped(self._make, tuple(column[position] for column in self._columns))
        return _maker(self._make)(tuple(column[position] for column in self._columns))

    def __repr__(self) -> str:
        return f"Zipped({list(self)!r})"


def _maker(make: Make) -> Callable[[tuple[Any, ...]], Any]:
    if isinstance(make, type) and issubclass(make, tuple):
        # The quickest way: no call of a function in Python, such as a named tuple's own, and no tuple of arguments.
        return MethodType(tuple.__new__, make)
    return make
