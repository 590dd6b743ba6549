"""Where a quantity that is measured again and again became larger or smaller for good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runinference.metrics.students_t import t_quantile

MINIMAL_EFFECT: Final = 0.05
FALSE_ALARMS: Final = 0.005
"""How often noise alone is taken for a change in the last step, where runs do not depend on one another."""

# A run scatters about 3 % around the one before even where nothing changed, on a machine that is not left alone. What
# is known of that before anything is measured counts as much as four runs, so that two or three of them, which happen
# to lie close together, are not taken for a machine without noise.
_USUAL_NOISE: Final = 0.03
_USUAL_RUNS: Final = 4
_FEWEST: Final = 3
_WITHIN_A_RUN: Final = 0.05
_SPIKE: Final = 3.0
_MOST_DRAG: Final = 0.6
_PRICE: Final = 2.0  # As in Bayes' information criterion, for a place and a mean.

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change that noise does not explain.

    Attributes:
        index: The first run after it.
        ratio: How many times the value before it the value after it is.
        low: Lower end of the 95 % interval of the ratio.
        high: Upper end.
        before: The value before it: the geometric mean of the medians of the runs since the change before.
        after: The value after it, up to the next change.
        runs_after: How many runs there are up to the next change. One alone may yet turn out to be an accident.
    """

    index: int
    ratio: float
    low: float
    high: float
    before: float
    after: float
    runs_after: int


def change_points(series: Sequence[Sequence[float]], minimal_effect: float = MINIMAL_EFFECT) -> list[ChangePoint]:
    """The changes in a series of runs, the oldest first.

    What is compared are the logarithms of the medians of the runs. Runs that differ from both of their neighbours are
    drawn in. The series is cut into stretches with a mean each, so that the sum of squares is least, where each stretch
    has a price. Then cuts are taken back, the least sure first, as long as Student's t does not say that the means on
    both sides differ by more than the noise explains, however many places one looks at, or as they are less than
    `minimal_effect` apart. The noise is that between the runs of all stretches, with what is usual, or what the samples
    of a run show, counted in; where runs follow the ones before them, that is taken into account.

    A change needs three runs on each side, except at the end: there the last run or the last two are enough, if they
    stand out from all that single runs did before. Of the last one also its own samples must differ from those of the
    runs before it, by Welch's test.

    Args:
        series: For each run its samples, the oldest first. Those that are not positive numbers are left out.
        minimal_effect: The least ratio that counts: 0.05 is 5 % more, or the same factor less.
    """
    samples = [[value for value in run if value > 0 and math.isfinite(value)] for run in series]
    used = [index for index, run in enumerate(samples) if run]
    if len(used) < 2:
        return []
    found = _Series([np.log(np.array(samples[index])) for index in used], math.log1p(minimal_effect))
    return [replace(change, index=used[change.index]) for change in found.changes()]


class _Series:
    """Finds the stretches in which nothing changed."""

    def __init__(self, samples: Sequence[_Array], least: float) -> None:
        self._samples = samples
        self._least = least
        self._raw = np.array([np.median(run) for run in samples])
        self._calm = _without_spikes(self._raw)
        spreads = [float(run.std(ddof=1)) for run in samples if len(run) > 1]
        # Runs are not closer to one another than their own passes are.
        self._usual = max(_USUAL_NOISE, float(np.median(spreads)) if spreads else 0.0)

    def changes(self) -> list[ChangePoint]:
        """The changes between the stretches."""
        cuts = self._without_doubtful(_best_cuts(self._calm, self._usual))
        cuts += self._at_the_end(cuts)
        edges = [0, *cuts, len(self._raw)]
        return [self._change(cuts, *edges[place : place + 3]) for place in range(len(cuts))]

    def _without_doubtful(self, cuts: list[int]) -> list[int]:
        while cuts:
            edges = [0, *cuts, len(self._raw)]
            tests = [_Test(self._calm, self._usual, cuts, *edges[place : place + 3]) for place in range(len(cuts))]
            least_sure, smallest = (min(tests, key=key) for key in (lambda test: test.t, lambda test: test.effect))
            if least_sure.significant:
                if smallest.effect >= self._least:
                    break
                least_sure = smallest
            cuts = [cut for cut in cuts if cut != least_sure.at]
        return cuts

    def _at_the_end(self, cuts: list[int]) -> list[int]:
        """A cut before the last run or runs, which are too few to be a stretch."""
        start, end = (cuts or [0])[-1], len(self._raw)
        few = end < 2 * _FEWEST
        places = range(min(2, end - 1), end) if few else range(max(start + _FEWEST, end - _FEWEST + 1), end)
        tests = [_Test(self._raw, self._usual, [*cuts, at], start, at, end) for at in places if at > start]
        best = max(tests, key=lambda test: test.t, default=None)
        if best is None or not best.significant or best.effect < self._least:
            return []
        return [best.at] if end - best.at > 1 or self._stands_out(start, best.at) else []

    def _stands_out(self, start: int, at: int) -> bool:
        """Whether the samples of one run differ from those of the runs before it."""
        own, others = self._samples[at], np.concatenate(self._samples[start:at])
        if len(own) < 2 or len(others) < 2:
            return True
        parts = own.var(ddof=1) / len(own), others.var(ddof=1) / len(others)
        error = math.sqrt(sum(parts))
        if error == 0:
            return True
        share = parts[0] / sum(parts)
        freedom = 1 / (share**2 / (len(own) - 1) + (1 - share) ** 2 / (len(others) - 1))
        return bool(abs(own.mean() - others.mean()) / error >= t_quantile(1 - _WITHIN_A_RUN / 2, float(freedom)))

    def _change(self, cuts: Sequence[int], start: int, at: int, stop: int) -> ChangePoint:
        values = self._calm if stop - at >= _FEWEST else self._raw
        test = _Test(values, self._usual, cuts, start, at, stop)
        reach = t_quantile(0.975, test.freedom) * test.error
        return ChangePoint(
            index=at,
            ratio=math.exp(test.difference),
            low=math.exp(test.difference - reach),
            high=math.exp(test.difference + reach),
            before=math.exp(values[start:at].mean()),
            after=math.exp(values[at:stop].mean()),
            runs_after=stop - at,
        )


class _Test:
    """Whether the means of two neighbouring stretches differ.

    Args:
        values: The values of the runs.
        usual: The usual noise.
        cuts: Where all stretches begin, but for the first.
        start: Where the first of the two begins.
        at: Where the second begins.
        stop: Where it ends.
    """

    def __init__(self, values: _Array, usual: float, cuts: Sequence[int], start: int, at: int, stop: int) -> None:
        self.at = at
        self.difference = float(values[at:stop].mean() - values[start:at].mean())
        self.effect = abs(self.difference)
        rests = np.concatenate([part - part.mean() for part in np.split(values, cuts)])
        self.freedom = len(values) - len(cuts) - 1 + _USUAL_RUNS
        noise = (float((rests**2).sum()) + _USUAL_RUNS * usual**2) / self.freedom
        self.error = math.sqrt(noise * _drag(rests) * (1 / (at - start) + 1 / (stop - at)))
        self.t = self.effect / self.error
        self._places = max(1, len(values) - 2 * _FEWEST)

    @property
    def significant(self) -> bool:
        """Whether noise does not explain it, at any of all places where it might have been found."""
        return self.t >= t_quantile(1 - FALSE_ALARMS / self._places / 2, self.freedom)


def _drag(rests: _Array) -> float:
    """How many times the variance of a mean is that of independent runs, as slow nights come in a row.

    It is that of a process in which each run follows the one before by as much as neighbours are seen to do.
    """
    squares = float((rests**2).sum())
    if squares == 0:
        return 1.0
    follows = min(_MOST_DRAG, max(0.0, float((rests[1:] * rests[:-1]).sum()) / squares))
    return (1 + follows) / (1 - follows)


def _best_cuts(values: _Array, usual: float) -> list[int]:
    """Where stretches of three or more begin, so that their squares and prices together are least.

    Args:
        values: The values of the runs.
        usual: The usual noise.
    """
    number = len(values)
    if number < 2 * _FEWEST:
        return []
    # Steps are seen in few of the differences between neighbours, so that the median of them is that of the noise.
    middle = 1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2)
    noise = (number * middle**2 + _USUAL_RUNS * usual**2) / (number + _USUAL_RUNS)
    price = _PRICE * math.log(number) * noise
    centred = values - values.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(each)]) for each in (centred, centred**2))
    costs = np.full(number + 1, np.inf)
    costs[0] = -price
    begins = np.zeros(number + 1, dtype=int)
    for stop in range(_FEWEST, number + 1):
        starts = np.arange(stop - _FEWEST + 1)
        within = squares[stop] - squares[starts] - (sums[stop] - sums[starts]) ** 2 / (stop - starts)
        totals = costs[starts] + within + price
        begins[stop] = int(np.argmin(totals))
        costs[stop] = totals[begins[stop]]
    cuts = []
    stop = number
    while begins[stop]:
        stop = int(begins[stop])
        cuts.append(stop)
    return cuts[::-1]


def _without_spikes(values: _Array) -> _Array:
    """With what lies far from the median of the five values around it drawn in; steps stay as they are."""
    if len(values) < 2 * _FEWEST:
        return values
    starts = [min(max(0, at - 2), len(values) - 5) for at in range(len(values))]
    middles = np.array([np.median(values[start : start + 5]) for start in starts])
    rests = values - middles
    scale = max(1.4826 * float(np.median(np.abs(rests))), _USUAL_NOISE / 6)
    calm: _Array = middles + np.clip(rests, -_SPIKE * scale, _SPIKE * scale)
    return calm
