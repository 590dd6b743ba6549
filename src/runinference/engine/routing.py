"""Which of several models a row goes to, and what is done to it before and after."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from runinference.batching import Rows
from runinference.batching.routed import RoutedRows
from runinference.engine.stages import Outcome, Prepared, Stages
from runinference.engine.unit import Unit
from runinference.ensemble import EnsembleModelHandler
from runinference.errors import RowError, closest
from runinference.keyed import is_keyed
from runinference.prediction import Failure

_MOST_KEYS_NAMED = 10


class Route(Protocol):
    """Says which models a row goes to."""

    def __call__(self, row: Any, index: int, /) -> Sequence[int]:
        """The numbers of the models for `row`, which stands at position `index` of the input.

        Raises:
            RowError: There is none.
        """


class ByKey:
    """Sends each `(key, example)` pair to the model of its key.

    Attributes:
        units: The number of the model of each key.
    """

    def __init__(self, units: dict[Hashable, int]) -> None:
        self.units = units

    def __call__(self, row: Any, _index: int) -> Sequence[int]:
        """The model of the row's key."""
        try:
            return (self.units[row[0]],)
        except (KeyError, TypeError):
            raise RowError(f"There is no model for the key {row[0]!r}.{self.hint(row[0])}") from None

    def hint(self, key: Any) -> str:
        """What to say to somebody who names a key that there is not."""
        more = f" and {len(self.units) - _MOST_KEYS_NAMED:,} more" if len(self.units) > _MOST_KEYS_NAMED else ""
        shown = ", ".join(repr(each) for each in list(self.units)[:_MOST_KEYS_NAMED])
        near = closest(key, [each for each in self.units if isinstance(each, str)]) if isinstance(key, str) else ""
        return f"{near} Keys with a model: {shown}{more}"


class ToAll:
    """Sends each row to all models."""

    def __init__(self, count: int) -> None:
        self._all = range(count)

    def __call__(self, _row: Any, _index: int) -> Sequence[int]:
        """All of them."""
        return self._all


class ToOne:
    """Sends each row to one model of an ensemble that shares the rows out."""

    def __init__(self, ensemble: EnsembleModelHandler) -> None:
        self._choose = ensemble.choose
        self._numbers = {name: (number,) for number, name in enumerate(ensemble.models)}

    def __call__(self, row: Any, index: int) -> Sequence[int]:
        """The model that is chosen for it."""
        return self._numbers[self._choose(row, index)]


class RoutedWork:
    """What is done to rows before and after several models: the part that is common to all, and that of each.

    Attributes:
        key_column: The column of a table by which the model of a row is chosen.

    Args:
        common: The part that is common to all.
        units: The models.
        route: Says which of them a row goes to.
        joins: What the models say about a row is joined later, and finished then.
        names: Under which name the only prediction of a row is given in a dict; `None` gives it as it is.
    """

    prepares = finishes = True
    key_column: str | None = None

    def __init__(
        self, common: Stages, units: Sequence[Unit], route: Route, joins: bool, names: Sequence[str] | None
    ) -> None:
        self._common = common
        self._units = units
        self._route = route
        self._joins = joins
        self._names = names

    def prepare(self, rows: Rows) -> Prepared:
        """Chooses the models of each row and pre-processes it for each; where that fails, no model is given it."""
        prepared = self._common.prepare(rows)
        rows, failures = prepared.rows, prepared.failures
        if not len(rows):
            return prepared
        start = time.perf_counter()
        chosen = self._chosen(rows, failures) if isinstance(rows.data, list) else self._chosen_of_table(rows, failures)
        parts = [self._part(unit, rows, positions, failures) for unit, positions in chosen.items()]
        if failures and len(parts) > 1:
            failed = {failure.index for failure in failures}
            parts = [(unit, _without(part, failed)) for unit, part in parts]
        failures.sort(key=lambda failure: failure.index)
        return Prepared(RoutedRows(rows, parts), failures, prepared.seconds + time.perf_counter() - start)

    def finish(self, outcome: Outcome) -> Outcome:
        """Post-processes each result."""
        unit = outcome.unit
        if unit is not None:
            outcome = self._units[unit].stages.finish(outcome)
            if self._joins:
                return outcome
            if self._names is not None:
                outcome.results = _named(self._names[unit], outcome)
        return self._common.finish(outcome)

    def _chosen(self, rows: Rows, failures: list[Failure]) -> Mapping[int, Sequence[int]]:
        chosen: dict[int, list[int]] = {}
        route, index = self._route, rows.index
        for position, row in enumerate(rows.data):
            try:
                units = route(row, index[position])
            except RowError as error:
                failures.append(self._common.failure(error, rows, position, "preprocess"))
                continue
            for unit in units:
                chosen.setdefault(unit, []).append(position)
        return chosen

    def _chosen_of_table(self, rows: Rows, failures: list[Failure]) -> Mapping[int, Sequence[int]]:
        if self.key_column is None:
            return {unit.number: range(len(rows)) for unit in self._units}
        block = rows.data if rows.originals is None else rows.originals
        keys = block.column(self.key_column).dictionary_encode()
        which = keys.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        chosen: dict[int, list[int]] = {}
        for number, key in [(-1, None), *enumerate(keys.dictionary.to_pylist())]:
            positions = np.flatnonzero(which == number).tolist()
            try:
                units = self._route((key, None), 0) if positions else ()
            except RowError as error:
                failures += [self._common.failure(error, rows, position, "preprocess") for position in positions]
                continue
            for unit in units:
                chosen[unit] = sorted([*chosen.get(unit, ()), *positions])
        return chosen

    def _part(self, unit: int, rows: Rows, positions: Sequence[int], failures: list[Failure]) -> tuple[int, Rows]:
        part = rows if len(positions) == len(rows) else rows.pick(positions)
        stages = self._units[unit].stages
        if not stages.prepares:
            return unit, part
        prepared = stages.prepare(part)
        known = {failure.index for failure in failures}
        failures += [failure for failure in prepared.failures if failure.index not in known]
        return unit, prepared.rows


def _without(rows: Rows, failed: set[int]) -> Rows:
    kept = [position for position, index in enumerate(rows.index) if index not in failed]
    return rows if len(kept) == len(rows) else rows.pick(kept)


def _named(name: str, outcome: Outcome) -> Any:
    """Each prediction in a dict under the name of its model."""
    return [
        (row_result[0], {name: row_result[1]}) if is_keyed(row) else {name: row_result}
        for row, row_result in zip(outcome.rows.data, outcome.results, strict=True)
    ]
