"""Distributions as bars."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from runinference.metrics import Distribution

MOST_BARS: Final = 20
_MOST_VALUES: Final = 16


class Bar(NamedTuple):
    """One bar: the values from `low` to `high`, which are equal where it stands for one value."""

    low: float
    high: float
    batches: float


def single_values(distribution: Distribution) -> list[Bar]:
    """A bar for each value where there are few, else `ranges`."""
    buckets = distribution.buckets()
    if len(buckets) > _MOST_VALUES:
        return ranges(distribution)
    return [Bar(high, high, count) for _, high, count in buckets]


def ranges(distribution: Distribution) -> list[Bar]:
    """Bars that are equally wide on a logarithmic scale, over the positive values."""
    buckets = [bucket for bucket in distribution.buckets() if bucket[0] > 0]
    if not buckets:
        return []
    first, last = min(buckets[0][0], buckets[0][1]), buckets[-1][1]
    if len(buckets) == 1 or first >= last:
        return [Bar(first, last, sum(count for *_, count in buckets))]
    start, width = math.log(first), (math.log(last) - math.log(first)) / MOST_BARS
    counts = [0.0] * MOST_BARS
    for low, high, count in buckets:
        # A bucket that lies across several bars gives each its share, so that none looks too high.
        begin, end = (math.log(low) - start) / width, (math.log(high) - start) / width
        for bar in range(max(0, int(begin)), min(MOST_BARS - 1, int(end)) + 1):
            covered = min(end, bar + 1) - max(begin, bar)
            counts[bar] += count * (covered / (end - begin) if end > begin else 1.0)
    edges = [math.exp(start + bar * width) for bar in range(MOST_BARS + 1)]
    return [Bar(edges[bar], edges[bar + 1], count) for bar, count in enumerate(counts)]
