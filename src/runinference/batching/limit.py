"""How many rows fit into one batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runinference.batching.tuner import SizeTuner


@dataclass(slots=True)
class Limit:
    """The three limits of a batch: rows, weight or padded area, and what the tuner aims at.

    Attributes:
        tuner: Aims at a number of rows or, with `by_area`, at a padded area.
        max_rows: Most rows of a batch; `None` for no limit of its own.
        max_weight: Largest weight of a batch; `None` for no limit of its own.
        by_area: Weight means rows × longest row and the tuner counts in it; else it is the sum over the rows.
    """

    tuner: SizeTuner
    max_rows: int | None = None
    max_weight: int | None = None
    by_area: bool = False

    @property
    def rows(self) -> int | None:
        """The most rows that a batch may have now; `None` where only its area counts."""
        if self.by_area:
            return self.max_rows
        return self.tuner.size if self.max_rows is None else min(self.tuner.size, self.max_rows)

    @property
    def weight(self) -> int | None:
        """The largest weight or padded area that a batch may have now; `None` for no limit."""
        if not self.by_area:
            return self.max_weight
        return self.tuner.size if self.max_weight is None else min(self.tuner.size, self.max_weight)

    def fits(self, sizes: Iterable[int]) -> tuple[int, int, bool]:
        """How many of the rows with `sizes`, from the first on, make one batch.

        A single row above the limit is a batch of its own.

        Returns:
            The number of rows, their weight or padded area, and whether a limit of weight kept the next row out.
        """
        rows_limit, weight_limit = self.rows, self.weight
        count = weight = longest = 0
        for size in sizes:
            longest = max(longest, size, 1)
            heavier = (count + 1) * longest if self.by_area else weight + size
            if count and weight_limit is not None and heavier > weight_limit:
                return count, weight, True
            if rows_limit is not None and count >= rows_limit:
                return count, weight, False
            count, weight = count + 1, heavier
        return count, weight, False

    def is_full(self, count: int, weight: int) -> bool:
        """Whether a batch of `count` rows and `weight` can take no further row of any size."""
        rows_limit, weight_limit = self.rows, self.weight
        return (rows_limit is not None and count >= rows_limit) or (weight_limit is not None and weight >= weight_limit)

    def fill(self, count: int, weight: int) -> float:
        """Share of the limit that comes first for a batch of `count` rows and `weight`, at most 1."""
        rows_limit, weight_limit = self.rows, self.weight
        shares = [0.0]
        if rows_limit is not None:
            shares.append(count / rows_limit)
        if weight_limit is not None:
            shares.append(weight / weight_limit)
        return min(1.0, max(shares))
