"""Rows on their way through the engine: what they hold and where they stood in the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runinference.batching.blocks import cut, is_record_batch, join, pick


class Rows:
    """A run of rows: a list of examples or a block, with their positions in the input.

    Attributes:
        data: A list of examples, or a block (see [blocks][runinference.batching.blocks]).
        index: Position in the input of each row; a `range` where they are consecutive.
        originals: The same rows as they came in, as a list or block, where `data` is something else; else `None`.
        sizes: Weight or length of each row, where the batch policy asks for it, else `None`.
    """

    __slots__ = ("data", "index", "originals", "sizes")

    def __init__(
        self,
        data: Any,
        index: Sequence[int],
        originals: Any = None,
        sizes: list[int] | None = None,
    ) -> None:
        self.data = data
        self.index = index
        self.originals = originals
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return f"Rows({self.data!r}, {self.index!r})"

    def cut(self, start: int, stop: int) -> Rows:
        """Rows `start` to `stop` of this run."""
        return Rows(
            cut(self.data, start, stop),
            self.index[start:stop],
            None if self.originals is None else cut(self.originals, start, stop),
            None if self.sizes is None else self.sizes[start:stop],
        )

    def pick(self, positions: Sequence[int]) -> Rows:
        """The rows at `positions` of this run, in that order."""
        return Rows(
            pick(self.data, positions),
            [self.index[p] for p in positions],
            None if self.originals is None else pick(self.originals, positions),
            None if self.sizes is None else [self.sizes[p] for p in positions],
        )

    def original(self, position: int) -> Any:
        """The row at `position` as it came in; a row of a record batch is a dict."""
        data = self.data if self.originals is None else self.originals
        return data.slice(position, 1).to_pylist()[0] if is_record_batch(data) else data[position]

    @staticmethod
    def join(parts: Sequence[Rows]) -> Rows:
        """The rows of several runs, in their order."""
        if len(parts) == 1:
            return parts[0]
        return Rows(
            join([part.data for part in parts]),
            _join_index([part.index for part in parts]),
            None if parts[0].originals is None else join([part.originals for part in parts]),
            None if parts[0].sizes is None else join([part.sizes for part in parts]),
        )


def _join_index(parts: Sequence[Sequence[int]]) -> Sequence[int]:
    first = parts[0]
    if isinstance(first, range):
        end = first.stop
        for part in parts[1:]:
            if not isinstance(part, range) or part.start != end:
                break
            end = part.stop
        else:
            return range(first.start, end)
    return [position for part in parts for position in part]
