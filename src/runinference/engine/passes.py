"""The passes of rows through the models of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from runinference.batching import Batch
from runinference.engine.cores import available_cores
from runinference.engine.device_sampler import DeviceSampler, named_gpus
from runinference.engine.feed import Feed, MakeRows
from runinference.engine.flow import Flow
from runinference.engine.forming import Forming
from runinference.engine.isolate import Search
from runinference.engine.model_set import ModelSet
from runinference.engine.parallel import ParallelFlow
from runinference.engine.report import Reporter
from runinference.engine.source import Source
from runinference.engine.stages import Outcome, Started
from runinference.metrics.bottleneck import StageTimes, device_share, verdict


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
        self._devices = DeviceSampler(models.metrics, self._named_gpus, self._is_working)
        self._have_run: set[int] = set()
        self._calls = 0.0

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

    def outcomes(self, flow: Flow | ParallelFlow, *, idles: bool = False) -> Iterator[Outcome]:
        """What comes of a flow; where several models run on each row, once all of them have.

        Args:
            flow: The flow.
            idles: Its rows come from callers, so that there may be none for long.
        """
        joining = self._models.joining()
        with self._devices.run(idles):
            if joining is None:
                yield from flow.outcomes()
                return
            for outcome in flow.outcomes():
                joined = joining.push(outcome)
                if joined is not None:
                    yield self._models.work.finish(joined)

    def observe(self, outcome: Outcome, overlapped: bool) -> None:
        """Records an outcome, for its model and for all together."""
        if outcome.unit is not None and outcome.unit not in self._have_run:
            self._have_run.add(outcome.unit)
            self._devices.look()
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
        self._refresh_bottleneck()

    def taken(self, seconds: float) -> None:
        """Takes note of how long who takes the results did something else."""
        self._reporter.spent.consumer += seconds

    def stop_looking(self) -> None:
        """Looks at devices no more, to be called while the models are still there."""
        self._devices.close()

    def end(self) -> None:
        """Stops the clock."""
        for reporter in self._reporters():
            reporter.end()
        self._refresh_bottleneck()

    def _refresh_bottleneck(self) -> None:
        """Records what has held up all rows until now, once a model ran."""
        reporter, models = self._reporter, self._models
        running = reporter.running_s
        if running is None:
            return
        spent = reporter.spent
        threads = self._workers or (1 if models.is_parallel else available_cores())
        times = StageTimes(
            elapsed=reporter.elapsed_s,
            running=running,
            loading=sum(each.load_s for each in self._reporters()),
            reading=spent.reading,
            preprocess=spent.preprocess,
            model=spent.inference,
            postprocess=spent.postprocess,
            taking=spent.consumer,
            # Of several models it is not known how many may run at the same time: they take the rows that come.
            copies=1 if models.is_routed or self._workers == 0 else len(models.units[0].copies),
            workers=threads if reporter.overlapped else 1,
            device=device_share(models.metrics.snapshot()),
        )
        models.metrics.set("bottleneck", str(verdict(times)))

    def _is_working(self) -> bool:
        """Whether a model ran since this was last asked, or does so now."""
        before, self._calls = self._calls, self._models.metrics.totals()["inference_calls"]
        return self._calls != before or any(copy.is_running for unit in self._models.units for copy in unit.copies)

    def _named_gpus(self, count: int) -> set[int]:
        return {number for unit in self._models.units for number in named_gpus(unit.plan.handler, count)}

    def _reporters(self) -> list[Reporter]:
        return list(dict.fromkeys([self._reporter, *(unit.reporter for unit in self._models.units)]))


def _nothing() -> None:
    pass
