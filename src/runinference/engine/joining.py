"""The predictions of several models for the same rows, put together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from runinference.batching import Rows
from runinference.batching.blocks import cut, join, pick
from runinference.batching.zipped import Zipped
from runinference.engine.order import Ordered, Ready
from runinference.engine.predictions import to_arrow
from runinference.engine.stages import Outcome
from runinference.keyed import is_keyed
from runinference.prediction import Failure


class Joining:
    """Waits until all models are done with a row, and puts what they said into a dict by their names.

    A row that fails in one model fails.

    Args:
        names: The names of the models, by their numbers.
        keyed: Whether rows may be pairs, so that what the models say comes in pairs.
    """

    def __init__(self, names: Sequence[str], keyed: bool) -> None:
        self._names = list(names)
        self._keyed = keyed
        self._orders = [Ordered() for _ in names]
        self._done: list[list[Ready]] = [[] for _ in names]
        self._failed: dict[int, Failure] = {}
        self._joined = 0

    def push(self, outcome: Outcome) -> Outcome | None:
        """What all models are done with, now that `outcome` is there."""
        for unit in [outcome.unit] if outcome.unit is not None else range(len(self._names)):
            ready = self._orders[unit].push(outcome)
            if ready is not None and len(ready.rows):
                self._done[unit].append(ready)
        for failure in outcome.failures:
            self._failed.setdefault(failure.index, failure)
        upto = min(order.next for order in self._orders)
        if upto == self._joined:
            return None
        self._joined = upto
        failures = [self._failed.pop(index) for index in sorted(self._failed) if index < upto]
        parts = [self._take(unit, upto, {failure.index for failure in failures}) for unit in range(len(self._names))]
        return Outcome(parts[0].rows, self._by_name(parts[0].rows, [part.results for part in parts]), failures)

    def _take(self, unit: int, upto: int, failed: set[int]) -> Ready:
        """What the model said about the rows before `upto`, but for those that failed in another."""
        held = self._done[unit]
        if not held:
            return Ready(Rows([], range(0)), [])
        rows, results = Rows.join([part.rows for part in held]), join([part.results for part in held])
        count = len(rows) if rows.index[-1] < upto else sum(1 for index in rows.index if index < upto)
        rest = Ready(rows.cut(count, len(rows)), cut(results, count, len(rows)))
        self._done[unit] = [rest] if len(rest.rows) else []
        kept = [position for position in range(count) if rows.index[position] not in failed]
        if len(kept) < count:
            return Ready(rows.pick(kept), pick(results, kept))
        return Ready(rows.cut(0, count), cut(results, 0, count))

    def _by_name(self, rows: Rows, results: Sequence[Any]) -> Any:
        if not len(rows):
            return []
        if not isinstance(rows.data, list):
            import pyarrow as pa

            return pa.StructArray.from_arrays([to_arrow(each) for each in results], self._names)
        by_name = functools.partial(_by_name, self._names)
        if not self._keyed:
            return Zipped(by_name, tuple(results))
        return [
            (said[0][0], by_name([prediction for _, prediction in said])) if is_keyed(row) else by_name(said)
            for row, said in zip(rows.data, zip(*results, strict=True), strict=True)
        ]


def _by_name(names: Sequence[str], predictions: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, predictions, strict=True))
