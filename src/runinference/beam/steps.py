"""Pre- and postprocessing functions as steps of a pipeline, and the handler that is left without them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import pvalue

from runinference.beam.dead_letters import Catching
from runinference.engine.plan import Plan
from runinference.engine.stages import not_none
from runinference.keyed import KeyedModelHandler, is_keyed

Function = Callable[[Any], Any]


def steps_before(plan: Plan) -> list[Function]:
    """The functions of a handler on its input, in the order in which they run."""
    inner = [_OnExample(fn) for fn in plan.preprocess] if plan.keys != "none" else plan.preprocess
    return [_Given(fn) for fn in (*plan.pair_preprocess, *inner)]


def steps_after(plan: Plan) -> list[Function]:
    """The functions of a handler on its predictions, in the order in which they run."""
    inner = [_OnExample(fn) for fn in plan.postprocess] if plan.keys != "none" else plan.postprocess
    return [*inner, *plan.pair_postprocess]


def without_functions(handler: Any) -> Any:
    """A copy of a handler, and of the one within, that says it has no pre- and postprocessing."""
    clone = copy.copy(handler)
    if isinstance(clone, KeyedModelHandler) and clone.unkeyed is not None:
        clone.unkeyed = without_functions(clone.unkeyed)
    clone.get_preprocess_fns = tuple
    clone.get_postprocess_fns = tuple
    return clone


def apply(
    pcoll: pvalue.PCollection, functions: Sequence[Function], label: str, catching: Catching | None
) -> tuple[pvalue.PCollection, list[pvalue.PCollection]]:
    """Applies functions one after the other; gives the result, and for each the elements on which it failed."""
    failed = []
    for number, fn in enumerate(functions):
        step = beam.Map(fn)
        if catching is None:
            pcoll = pcoll | f"{label}-{number}" >> step
        else:
            pcoll, bad = pcoll | f"{label}-{number}" >> step.with_exception_handling(**catching.of_step())
            failed.append(bad)
    return pcoll, failed


class _OnExample:
    """A function of an example, for `(key, example)` pairs."""

    def __init__(self, fn: Function) -> None:
        self._fn = fn

    def __call__(self, element: Any) -> Any:
        return (element[0], self._fn(element[1])) if is_keyed(element) else self._fn(element)


class _Given:
    """A function that has to return something."""

    def __init__(self, fn: Function) -> None:
        self._fn = fn

    def __call__(self, element: Any) -> Any:
        return not_none(self._fn(element), self._fn)
