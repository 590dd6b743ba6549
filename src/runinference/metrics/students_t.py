"""Student's t distribution, for which numpy has no quantiles."""

from __future__ import annotations

import functools
import math

_SMALLEST = 1e-300  # In place of 0 in the continued fraction.
_TERMS = 10_000


@functools.cache
def t_quantile(probability: float, freedom: float) -> float:
    """The value below which Student's t lies with that probability.

    Args:
        probability: From 0.5 up to, but not including, 1.
        freedom: Degrees of freedom, 1 or more; they need not be whole.

    Examples:
        >>> round(t_quantile(0.975, 8), 4)
        2.306
    """
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < probability:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        if _t_below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def _t_below(t: float, freedom: float) -> float:
    """The probability that Student's t is below `t`, which is not negative."""
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function."""
    if x in (0.0, 1.0):
        return x
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast on this side of the mean only; the function of the other side is its complement.
    if x < (a + 1) / (a + b + 2):
        return front / (a * _fraction(a, b, x))
    return 1 - front / (b * _fraction(b, a, 1 - x))


def _fraction(a: float, b: float, x: float) -> float:
    """Its continued fraction, by Lentz's method."""
    value = numerator = 1.0
    denominator = 0.0
    for term in range(1, _TERMS):
        half, odd = divmod(term, 2)
        if odd:
            factor = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            factor = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        denominator = 1 / (1 + factor * denominator or _SMALLEST)
        numerator = 1 + factor / numerator or _SMALLEST
        change = numerator * denominator
        value *= change
        if abs(change - 1) < 1e-15:
            break
    return value
