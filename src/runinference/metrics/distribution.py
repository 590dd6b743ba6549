"""A distribution of numbers in bounded memory: exact count, sum, minimum and maximum, quantiles within 2 %.

A value falls into the bucket `ceil(log_gamma(|value|))`, which is less than 2 % wide, and a bucket remembers the
largest magnitude in it. So a quantile is a value that was added, within 2 % of the exact one, and where values repeat,
as batch sizes do, it is the exact one. Two distributions merge by joining their buckets, without losing precision.
"""

from __future__ import annotations

import math
import sys
from typing import Final

_GAMMA: Final = 1.0195
_PER_WIDTH: Final = 1.0 / math.log(_GAMMA)
_SMALLEST: Final = sys.float_info.min
_MAX_BUCKETS: Final = 4096
"""Buckets kept per sign: 34 orders of magnitude; beyond that the smallest magnitudes share one bucket."""

_isfinite, _log, _ceil = math.isfinite, math.log, math.ceil


class Distribution:
    """Count, sum, minimum, maximum and quantiles of many numbers. Not locked: `Metrics` does that.

    Values that are not a finite number are left out and counted in `ignored`.

    Example:
        >>> latencies = Distribution()
        >>> for milliseconds in [1.0, 2.0, 100.0]:
        ...     latencies.add(milliseconds)
        >>> latencies.count, latencies.max, latencies.quantile(1.0)
        (3, 100.0, 100.0)

    Attributes:
        count: How many values were added.
        sum: Their sum.
        ignored: How many values were left out because they were NaN or infinite.
    """

    __slots__ = ("_max", "_min", "_negative", "_positive", "_zeros", "count", "ignored", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.ignored = 0
        self._min = math.inf
        self._max = -math.inf
        self._zeros = 0
        # How many values a bucket holds and the largest magnitude among them.
        self._positive: dict[int, list[float]] = {}
        self._negative: dict[int, list[float]] = {}

    def add(self, value: float, times: int = 1) -> None:
        """Adds `value`, as often as `times` says.

        Raises:
            ValueError: `times` is negative.
        """
        if times < 1:
            if times < 0:
                raise ValueError(f"A value cannot be added {times} times; times must be 0 or more.")
            return
        value = float(value)
        if not _isfinite(value):
            self.ignored += times
            return
        if value >= _SMALLEST:
            _put(self._positive, value, times)
        elif value <= -_SMALLEST:
            _put(self._negative, -value, times)
        else:
            self._zeros += times
        self.count += times
        self.sum += value * times
        if value < self._min:
            self._min = value
        if value > self._max:
            self._max = value

    def merge(self, other: Distribution) -> None:
        """Adds everything that `other` holds; `other` stays as it is."""
        self.count += other.count
        self.sum += other.sum
        self.ignored += other.ignored
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)
        self._zeros += other._zeros
        for mine, theirs in ((self._positive, other._positive), (self._negative, other._negative)):
            for index, (times, magnitude) in theirs.items():
                bucket = mine.setdefault(index, [0, magnitude])
                bucket[0] += times
                bucket[1] = max(bucket[1], magnitude)
            _collapse(mine)

    def copy(self) -> Distribution:
        """An independent distribution that holds the same values."""
        twin = Distribution()
        twin.merge(self)
        return twin

    @property
    def min(self) -> float | None:
        """The smallest value, exactly; `None` when there is none."""
        return self._min if self.count else None

    @property
    def max(self) -> float | None:
        """The largest value, exactly; `None` when there is none."""
        return self._max if self.count else None

    @property
    def mean(self) -> float | None:
        """The sum divided by the count; `None` when there is no value."""
        return self.sum / self.count if self.count else None

    def quantile(self, q: float) -> float | None:
        """The smallest value that at least the share `q` of all values does not exceed, within 2 %.

        Args:
            q: The share, from 0 (the minimum, exact) to 1 (the maximum, exact).

        Returns:
            The value, between `min` and `max`; `None` when there is none.

        Raises:
            ValueError: `q` lies outside of 0 to 1.
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"A quantile lies between 0 and 1, not at {q!r}.")
        if not self.count:
            return None
        rank = max(1, math.ceil(q * self.count))
        if rank == 1:
            return self._min
        if rank >= self.count:
            return self._max
        return max(self._near(rank), self._min)

    def buckets(self) -> list[tuple[float, float, int]]:
        """`(low, high, count)` of each bucket that holds values, the smallest first.

        Its values lie between `low` and `high`, which are less than 2 % apart. The one of the two that is farther from
        0 was added; it is the exact value where all in the bucket are the same.
        """
        negative = [(-high, -low, count) for low, high, count in reversed(_ranges(self._negative))]
        zeros = [(0.0, 0.0, self._zeros)] if self._zeros else []
        return [*negative, *zeros, *_ranges(self._positive)]

    def _near(self, rank: float) -> float:
        """The value in the bucket that holds the value number `rank`, counted from 1 at the smallest."""
        for index in sorted(self._negative, reverse=True):
            rank -= self._negative[index][0]
            if rank <= 0:
                return -self._negative[index][1]
        rank -= self._zeros
        if rank <= 0:
            return 0.0
        for index in sorted(self._positive):
            rank -= self._positive[index][0]
            if rank <= 0:
                return self._positive[index][1]
        return self._max

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Distribution(count={self.count}, sum={self.sum!r}, min={self.min!r}, max={self.max!r})"


def _put(buckets: dict[int, list[float]], magnitude: float, times: int) -> None:
    index = _ceil(_log(magnitude) * _PER_WIDTH)
    bucket = buckets.get(index)
    if bucket is None:
        buckets[index] = [times, magnitude]
        if len(buckets) > _MAX_BUCKETS:
            _collapse(buckets)
    else:
        bucket[0] += times
        if magnitude > bucket[1]:
            bucket[1] = magnitude


def _ranges(buckets: dict[int, list[float]]) -> list[tuple[float, float, int]]:
    """The smallest and largest magnitude that each bucket may hold, and how many it holds."""
    ranges: list[tuple[float, float, int]] = []
    for index in sorted(buckets):
        count, high = buckets[index]
        # Once buckets were joined, the first one holds all that is smaller.
        joined = not ranges and len(buckets) >= _MAX_BUCKETS
        ranges.append((0.0 if joined else min(_GAMMA ** (index - 1), high), high, int(count)))
    return ranges


def _collapse(buckets: dict[int, list[float]]) -> None:
    """Joins the buckets of the smallest magnitudes until no more than `_MAX_BUCKETS` are left."""
    excess = len(buckets) - _MAX_BUCKETS
    if excess <= 0:
        return
    lowest = sorted(buckets)[: excess + 1]
    buckets[lowest[-1]][0] += sum(buckets.pop(index)[0] for index in lowest[:-1])
