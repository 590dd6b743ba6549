"""The passes of rows through the models of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from runinference.batching import Batch
from runinference.engine.cores import available_cores
from runinference.engine.feed import Feed, MakeRows
from runinference.engine.flow import Flow
from runinference.engine.forming import Forming
from runinference.engine.isolate import Search
from runinference.engine.model_set import ModelSet
from runinference.engine.parallel import ParallelFlow
from runinference.engine.report import Reporter
from runinference.engine.source import Source
from runinference.engine.stages import Outcome, Started


class Passes:
    """Makes flows of rows through the models, and records what comes of them.

    Args:
        models: The models.
        workers: Threads for pre- and post-processing: 0 keeps everything in one thread, `None` decides from timings.
        stopped: Whether to stop.
    """

    def __init__(self, models: ModelSet, workers: int | None, stopped: Callable[[], bool]) -> None:
        self._models = models
        self._workers = workers
        self._stopped = stopped
        self._reporter = Reporter(models.metrics) if models.is_routed else models.units[0].reporter

    def flow(
        self,
        source: Source,
        make_rows: MakeRows,
        *,
        search: Search,
        single_items: bool = False,
        rows_wait: bool = True,
        observed: bool = True,
    ) -> Flow | ParallelFlow:
        """A flow over a source.

        Args:
            source: Where items come from.
            make_rows: Makes rows of them.
            search: How far the rows of a batch that fail are looked for.
            single_items: Read one item at a time, because each holds many rows.
            rows_wait: Whether rows that are there wait for others.
            observed: Record each outcome before it is given away; else `observe` is to be told of it later.
        """
        models, units = self._models, self._models.units
        feed = Feed(source, make_rows, models.work.prepare, single_items)
        load: Callable[[], Any] = _nothing if models.is_parallel else units[0].load
        forming = Forming(feed, models.batcher(rows_wait=rows_wait), load, self._stopped)
        observe = self.observe if observed else None
        if models.is_parallel and self._workers != 0:
            return ParallelFlow(
                forming=forming,
                work=models.work,
                unit=units.__getitem__,
                search=search,
                observe=observe,
                workers=self._workers,
                lookahead=models.batches_ahead,
                stopped=self._stopped,
            )

        def begin(batch: Batch) -> Started:
            unit = units[batch.unit]
            unit.enter()
            return unit.begin(batch)

        def infer(started: Started) -> Outcome:
            unit = units[started.batch.unit]
            try:
                return unit.infer(started, search)
            finally:
                unit.leave()

        return Flow(
            forming=forming,
            work=models.work,
            begin=begin,
            infer=infer,
            observe=observe,
            size_settled=lambda: units[0].limit.tuner.settled,
            workers=self._workers,
            default_workers=available_cores(),
            stopped=self._stopped,
        )

    @property
    def joins(self) -> bool:
        """Whether the result of a row is made of what several models say."""
        return self._models.joining() is not None

    def outcomes(self, flow: Flow | ParallelFlow) -> Iterator[Outcome]:
        """What comes of a flow; where several models run on each row, once all of them have."""
        joining = self._models.joining()
        if joining is None:
            yield from flow.outcomes()
            return
        for outcome in flow.outcomes():
            joined = joining.push(outcome)
            if joined is not None:
                yield self._models.work.finish(joined)

    def observe(self, outcome: Outcome, overlapped: bool) -> None:
        """Records an outcome, for its model and for all together."""
        if not self._models.is_routed or outcome.unit is None:
            self._reporter.batch(outcome, overlapped)
        else:
            self._models.units[outcome.unit].reporter.batch(outcome, overlapped)
            self._reporter.watch(outcome, overlapped)

    def refresh(self) -> None:
        """Records what holds at this moment."""
        for reporter in self._reporters():
            reporter.refresh()
        if self._models.residency is not None:
            self._models.metrics.set("models_in_memory", len(self._models.residency))

    def end(self) -> None:
        """Stops the clock."""
        for reporter in self._reporters():
            reporter.end()

    def _reporters(self) -> list[Reporter]:
        return list(dict.fromkeys([self._reporter, *(unit.reporter for unit in self._models.units)]))


def _nothing() -> None:
    pass
