"""How sure one can be of a ratio between two sets of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from runinference.metrics.students_t import t_quantile


@dataclass(frozen=True)
class Ratio:
    """The ratio of two geometric means, and the interval that holds it.

    Attributes:
        value: The ratio.
        low: Lower end of the interval; `None` where there are too few samples for one.
        high: Upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


def ratio_of(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Ratio:
    """How many times `b` is `a`: the ratio of their geometric means, with Welch's t interval of their logarithms.

    Logarithms, because times are skewed and a slow-down multiplies them. Welch's, because one side may scatter more
    than the other.

    Args:
        a: Samples, all above 0.
        b: Others. With one sample on a side there is no interval.
        confidence: How often the interval holds the ratio, if the samples are independent.

    Examples:
        >>> ratio_of([2.0, 2.0], [3.0, 3.0])
        Ratio(value=1.5, low=1.5, high=1.5)
    """
    logs_a, logs_b = [math.log(value) for value in a], [math.log(value) for value in b]
    difference = fmean(logs_b) - fmean(logs_a)
    if len(a) < 2 or len(b) < 2:
        return Ratio(_exp(difference))
    part_a, part_b = variance(logs_a) / len(a), variance(logs_b) / len(b)
    error = math.sqrt(part_a + part_b)
    if error == 0:
        return Ratio(*[_exp(difference)] * 3)
    # Shares of the error in place of the variances themselves, whose squares can be too small for a float.
    share = part_a / (part_a + part_b)
    freedom = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    reach = t_quantile((1 + confidence) / 2, freedom) * error
    return Ratio(_exp(difference), _exp(difference - reach), _exp(difference + reach))


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf
