"""Texts that come one by one through a DistilBERT, and how long each waits for its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from runinference.benchmarks.cases.pytorch_sentiment import PytorchSentiment
from runinference.benchmarks.engines import PEER
from runinference.benchmarks.open_loop import Level, poisson_arrivals, run_level
from runinference.benchmarks.passes import Pass, inference_of
from runinference.benchmarks.workers import runner_elsewhere
from runinference.errors import ConfigurationError
from runinference.metrics.measures import Measure
from runinference.packages import require

if TYPE_CHECKING:
    from runinference.benchmarks.engines.streams import Stream

_LOADS = (30, 50, 70, 90)
_PERCENTILES = (50, 95, 99)
_MAIN_LOAD = 70
_SINGLE_BATCHES = 11


class PytorchSentimentStreaming(PytorchSentiment):
    """Texts that arrive one by one: how long does each wait for its answer, at what load?

    The texts, models and handlers are those of `pytorch-sentiment`. First all texts are run at once, which tells the
    capacity of the engine. Then as many arrive at 30, 50, 70 and 90 % of it, at random times that are set beforehand
    (a Poisson process), so that an engine that is late finds a queue. The latency of a text is counted from when it
    was due. An engine that is late by several times what the texts took to arrive is given up; what it left counts
    with the time that it had waited.

    `embedded` is `Engine.submit`. `beam` and `beam-original` are our transform and Beam's, driven as a worker does it
    in streaming: 16 threads, each with bundles of one text. Encoding and the connection to a runner are left out.
    Beam's handler pads to 128 tokens and forms batches as in Beam's example, so of one text here. Loads are shares of
    each engine's own capacity; the rates are measured too, and the run time follows from them. Ours holds no text back
    for others: a batch is what came while the one before it ran (`max_batch_duration_secs` is 0).
    """

    name = "pytorch-sentiment-streaming"
    title = "PyTorch sentiment, streaming"
    default_examples = 500
    smoke_examples = 32

    def prepare(self) -> None:
        """Makes the weights and the vocabulary.

        Raises:
            ConfigurationError: The pipelines are to run on other machines.
        """
        if runner_elsewhere(self.settings) is not None:
            raise self._refusal()
        super().prepare()

    def handler(self) -> Any:
        """That of `pytorch-sentiment`, set up for short latencies."""
        handler = super().handler()
        own = "max_batch_duration_secs" in self.settings.handler_options
        return handler if own else handler.with_options(max_batch_duration_secs=0.0)

    def num_bytes(self, examples: Sequence[str]) -> int:
        """Those of the texts at all loads."""
        return len(_LOADS) * super().num_bytes(examples)

    def flops(self, examples: Sequence[str]) -> None:  # type: ignore[override]
        """Not told: an engine that waits for texts is to be far from the limit of the device."""
        del examples

    def run(self, engine: str, examples: Sequence[Any]) -> Pass:
        """All loads, one after the other, on a model that is loaded once.

        Raises:
            ConfigurationError: The pipelines are to run elsewhere, or there are no texts.
        """
        if not examples:
            raise ConfigurationError(f"{self.name} needs texts, but there are none")
        start = time.perf_counter()
        with self._stream(engine) as stream:
            capacity = _capacity(stream, examples)
            levels, sizes = {}, {}
            for number, load in enumerate(_LOADS):
                arrivals = poisson_arrivals(len(examples), capacity * load / 100, seed=number)
                before = stream.batches()
                levels[load] = run_level(stream, examples, arrivals)
                sizes[load] = _mean_size(before, stream.batches())
            batch_s = _single_batch(stream, examples, round(sizes[_MAIN_LOAD]))
            results = _results(stream, examples, levels)
            measured = stream.metrics()
        run_s = time.perf_counter() - start
        answer = self.beams_answer if engine == PEER else self.answer
        own = _figures(capacity, levels) | _of_batches(levels[_MAIN_LOAD], sizes[_MAIN_LOAD], batch_s)
        return Pass(
            elements=sum(len(examples) - level.unanswered for level in levels.values()),
            run_s=run_s,
            load_s=stream.load_s,
            answers=[answer(inference_of(result)) for result in results],
            metrics={name: value for name, value in measured.items() if not isinstance(value, str)} | own,
            texts={name: value for name, value in measured.items() if isinstance(value, str)},
        )

    def _stream(self, engine: str) -> Stream:
        from runinference.benchmarks.engines.streams import BundleStream, SubmitStream

        if engine == "embedded":
            return SubmitStream(self.handler())
        if self.settings.pipeline_options:
            raise self._refusal()
        base = require("apache_beam.ml.inference.base", "beam", f"run {self.name} on Beam")
        if engine == PEER:
            return BundleStream(base.RunInference(self.beams_handler()))
        from runinference.beam import RunInference
        from runinference.beam.worker import end_idle_workers, metrics_of_workers

        def measured() -> Mapping[str, float | str]:
            (worker,) = metrics_of_workers()
            return worker.to_dict()

        end_idle_workers()  # Those of pipelines that ran before.
        return BundleStream(RunInference(self.handler()), measured, end_idle_workers)

    def _refusal(self) -> ConfigurationError:
        return ConfigurationError(f"{self.name} measures Beam in this process only; leave out options of pipelines")


def _capacity(stream: Stream, examples: Sequence[Any]) -> float:
    """Elements per second of an engine that has found its batch size."""
    stream.batch(examples[: len(examples) // 4])
    start = time.perf_counter()
    stream.batch(examples)
    return len(examples) / (time.perf_counter() - start)


def _mean_size(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Rows of a batch in the mean, of those between two looks at the rows and batches up to now."""
    rows, batches = after[0] - before[0], after[1] - before[1]
    return rows / batches if batches else 1.0


def _single_batch(stream: Stream, examples: Sequence[Any], size: int) -> float:
    """The median of the seconds that a batch takes on its own."""
    took = []
    for number in range(_SINGLE_BATCHES):
        first = number * size % max(1, len(examples) - size + 1)
        start = time.perf_counter()
        stream.batch(examples[first : first + size])
        took.append(time.perf_counter() - start)
    return median(took)


def _results(stream: Stream, examples: Sequence[Any], levels: Mapping[int, Level]) -> list[Any]:
    """A result for each element, of the lowest load at which it was answered."""
    results = []
    for example, answers in zip(examples, zip(*(level.answers for level in levels.values()), strict=True), strict=True):
        found = next((answer for answer in answers if answer is not None), None)
        results.append(stream.batch([example])[0] if found is None else found)
    return results


def _figures(capacity: float, levels: Mapping[int, Level]) -> dict[str, float]:
    found = {"capacity": capacity, "unanswered_elements": float(sum(level.unanswered for level in levels.values()))}
    for load, level in levels.items():
        for percent in _PERCENTILES:
            found[f"latency_p{percent}_ms_at_{load}_percent"] = level.latency_s(percent) * 1e3
        found[f"offered_rate_at_{load}_percent"] = level.offered
        found[f"achieved_rate_at_{load}_percent"] = level.achieved
    return found


def _of_batches(level: Level, size: float, batch_s: float) -> dict[str, float]:
    return {
        f"batch_size_at_{_MAIN_LOAD}_percent": size,
        "one_batch_latency_ms": batch_s * 1e3,
        f"p99_over_batch_at_{_MAIN_LOAD}_percent": level.latency_s(99) / batch_s,
    }


def _measures() -> tuple[Measure, ...]:
    rate = "elements/s"
    capacity = "Elements per second when all of them are there at once; the loads are shares of it."
    found = [Measure("capacity", rate, "capacity", capacity, "higher")]
    for load in _LOADS:
        at, label = f"at_{load}_percent", f"at {load} % load"
        latency = "the time from when an element was due to its answer. One given up counts with the time it waited."
        found += [
            Measure(
                f"latency_p{percent}_ms_{at}", "ms", f"p{percent} latency {label}", f"Percentile {percent} of {latency}"
            )
            for percent in _PERCENTILES
        ]
        offered, achieved = "Elements per second that arrived.", "Elements per second up to the last answer."
        found.append(Measure(f"offered_rate_{at}", rate, f"offered rate {label}", offered, None))
        found.append(Measure(f"achieved_rate_{at}", rate, f"achieved rate {label}", achieved, "higher"))
    at, label = f"at_{_MAIN_LOAD}_percent", f"at {_MAIN_LOAD} % load"
    unanswered = "Elements, of all loads, that were given up because the engine was too late."
    batch = f"Time of one batch of that size where nothing else is to be done; the median of {_SINGLE_BATCHES}."
    ratio = f"Percentile 99 of the latency {label}, divided by the latency of one batch."
    return (
        *found,
        Measure("unanswered_elements", "elements", "unanswered elements", unanswered),
        Measure(f"batch_size_{at}", "rows", f"batch size {label}", f"Rows of a batch in the mean, {label}.", None),
        Measure("one_batch_latency_ms", "ms", "latency of one batch", batch),
        Measure(f"p99_over_batch_{at}", "times", f"p99 {label} over one batch", ratio),
    )


PytorchSentimentStreaming.measures = _measures()
