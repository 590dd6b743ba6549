"""The models of an engine: one, or several with a rule which rows go to which."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from runinference.batching import Batcher
from runinference.batching.routed import RoutedBatcher
from runinference.engine.call_options import CallOptions
from runinference.engine.flow import Work
from runinference.engine.joining import Joining
from runinference.engine.plan import Keys, Plan
from runinference.engine.routing import ByKey, Route, RoutedWork, ToAll, ToOne
from runinference.engine.stages import Stages
from runinference.engine.unit import Unit
from runinference.ensemble import EnsembleModelHandler
from runinference.keyed import KeyedModelHandler
from runinference.metrics import Metrics
from runinference.models.residency import Residency

# A row of a slow source waits this long for others, unless the handler's options say otherwise.
_DEFAULT_DELAY_S = 0.1
_BATCHES_THAT_MAY_PASS_A_ROW = 16
_ROWS_OF_AN_OPEN_BATCH = 64


class ModelSet:
    """The models of an engine.

    Attributes:
        plan: What there is to know of the handler as a whole.
        units: The models; others may come while rows are running.
        work: What is done to rows before and after the models.
        by_key: Which key has which model, where each row goes to that of its key.
        names: The models of an ensemble, by their numbers; else `None`.
        residency: Which models are in memory, where there is a limit.
        metrics: Where to record.

    Args:
        handler: The handler, of one model or several.
        options: How models are called.
        make_metrics: Makes what to record with, once it is known what the handler is.

    Raises:
        ConfigurationError: A handler or its options cannot work.
    """

    def __init__(self, handler: Any, options: CallOptions, make_metrics: Callable[[Plan], Metrics]) -> None:
        self.plan = Plan.of(handler, options.inference_args)
        self.metrics = make_metrics(self.plan)
        self.units: list[Unit] = []
        self.by_key: ByKey | None = None
        self.names: list[str] | None = None
        self.residency: Residency | None = None
        self._options = options
        self._joins = False
        ensemble = self.plan.handler
        if isinstance(handler, KeyedModelHandler) and handler.mappings:
            self._use_keys(handler)
        elif isinstance(ensemble, EnsembleModelHandler):
            self._use_ensemble(ensemble)
        else:
            self.units = [Unit(self.plan, options, self.metrics)]
            self.work: Work = self.units[0].stages

    @property
    def is_parallel(self) -> bool:
        """Whether several batches may run at the same time, in several models or copies."""
        return len(self.units) > 1 or len(self.units[0].copies) > 1 or self.is_routed

    @property
    def is_routed(self) -> bool:
        """Whether there may be several models."""
        return self.by_key is not None or self.names is not None

    @property
    def delay_s(self) -> float | None:
        """How long a row may wait for its batch, in seconds; the shortest of all models."""
        return min((delay for delay in map(_delay, self.units) if delay is not None), default=None)

    def add(self, plan: Plan, name: str) -> Unit:
        """One more model, under a name that is put before those of its metrics."""
        keys: Keys = "none" if self.plan.keys == "none" else "maybe"
        plan = dataclasses.replace(plan, keys=keys, takes_blocks=self.plan.takes_blocks)
        unit = Unit(plan, self._options, self.metrics.part(name), len(self.units), self.residency)
        self.units.append(unit)
        return unit

    @property
    def numbers(self) -> dict[Hashable, int]:
        """The number of the model of each key, or of each name in an ensemble."""
        if self.by_key is not None:
            return dict(self.by_key.units)
        return {name: number for number, name in enumerate(self.names or ())}

    def own_unit(self, number: int, keys: Sequence[Hashable]) -> Unit:
        """The model of `keys` alone; where it was that of others too, they part, and share what is loaded for now."""
        unit = self.units[number]
        if self.by_key is None:
            return unit
        of_keys = self.by_key.units
        others = [key for key, each in of_keys.items() if each == number and key not in keys]
        if not others:
            return unit
        # The part with the first key keeps the name that the metrics have.
        first = next(key for key, each in of_keys.items() if each == number)
        moved = others if first in keys else list(keys)
        added = self.add(dataclasses.replace(unit.plan, handler=unit.copies[0].served.handler), str(moved[0]))
        of_keys.update(dict.fromkeys(moved, added.number))
        return unit if first in keys else added

    def choose_by_column(self, name: str | None) -> None:
        """Says which column of a table holds the keys by which models are chosen."""
        if isinstance(self.work, RoutedWork) and self.by_key is not None:
            self.work.key_column = name

    def batcher(self, *, rows_wait: bool) -> Batcher:
        """A batcher for all models.

        Args:
            rows_wait: Whether rows that are there wait for others.
        """

        def make(number: int) -> Batcher:
            unit = self.units[number]
            return unit.batcher(_delay(unit) if rows_wait else 0.0)

        return RoutedBatcher(make, self._rows_ahead) if self.is_routed else make(0)

    def joining(self) -> Joining | None:
        """What puts the predictions for a row together, where there are several."""
        if not self._joins or self.names is None:
            return None
        return Joining(self.names, self.plan.keys != "none")

    def batches_ahead(self) -> int:
        """How many batches may be under way."""
        return 2 + 2 * sum(len(unit.copies) for unit in self.units)

    def close(self) -> None:
        """Lets go of all models for good."""
        if self.residency is not None:
            self.residency.close()
        for unit in self.units:
            unit.close()

    def _use_keys(self, handler: KeyedModelHandler) -> None:
        if handler.max_models is not None or handler.max_model_bytes is not None:
            self.residency = Residency(handler.max_models, handler.max_model_bytes)
        plans = [Plan.of(mapping.mh, self._options.inference_args) for mapping in handler.mappings]
        changes_rows = self.plan.pair_preprocess or self.plan.pair_postprocess
        takes_blocks = not changes_rows and all(plan.takes_blocks for plan in plans)
        self.plan = dataclasses.replace(self.plan, takes_blocks=takes_blocks)
        numbers: dict[Hashable, int] = {}
        for mapping, plan in zip(handler.mappings, plans, strict=True):
            unit = self.add(plan, str(mapping.keys[0]))
            numbers |= dict.fromkeys(mapping.keys, unit.number)
        self.by_key = ByKey(numbers)
        self.work = self._routed(self.by_key, None)

    def _use_ensemble(self, ensemble: EnsembleModelHandler) -> None:
        plans = [Plan.of(handler, self._options.inference_args) for handler in ensemble.models.values()]
        self.names = list(ensemble.models)
        self._joins = ensemble.split is None
        if ensemble.vote is not None:
            self.plan = dataclasses.replace(self.plan, postprocess=(ensemble.combine, *self.plan.postprocess))
        changes_rows = self.plan.preprocess or self.plan.postprocess or self.plan.pair_preprocess
        takes_blocks = (
            self._joins and self.plan.keys == "none" and not changes_rows and all(plan.takes_blocks for plan in plans)
        )
        self.plan = dataclasses.replace(self.plan, takes_blocks=takes_blocks)
        for name, plan in zip(self.names, plans, strict=True):
            self.add(plan, name)
        route: Route = ToAll(len(plans)) if self._joins else ToOne(ensemble)
        self.work = self._routed(route, self.names)

    def _routed(self, route: Route, names: list[str] | None) -> RoutedWork:
        common = Stages(self.plan, on_fault=_nothing)
        return RoutedWork(common, self.units, route, self._joins, None if self._joins else names)

    def _rows_ahead(self) -> int:
        largest = max(unit.limit.rows or _ROWS_OF_AN_OPEN_BATCH for unit in self.units)
        return _BATCHES_THAT_MAY_PASS_A_ROW * largest


def _delay(unit: Unit) -> float | None:
    policy = unit.plan.policy
    if policy.max_delay_s is not None:
        return policy.max_delay_s
    return _DEFAULT_DELAY_S if policy.min_size is None else None


def _nothing(*_: Any) -> None:
    pass
