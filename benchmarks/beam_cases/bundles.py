"""Bundles of one element from 16 threads of a worker, as runners make them in streaming.

Beam's local runner makes no such bundles. So the DoFns of both transforms are driven directly, as the worker does it:
every thread has its own unpickled copies, is given one element, and starts, feeds and finishes their bundle. Beam's
are those of `BatchElements` and the model, ours is one. Threads send the next element when they have the answer, so
that 16 are under way. Encoding, the connection to the runner and starting a pipeline are left out, loading the model
too; metrics are counted.

The model is a transformer of 24 layers, 64 wide, on 16 tokens: mostly the time to start each operation, as on a GPU, so
that a batch of 16 takes about twice as long as one of 1. PyTorch computes with one thread for each call: a second one
makes such small operations slower, Beam's most of all, whose 16 threads have work for all cores anyway. `submit` is
`Engine.submit` from as many threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import apache_beam as beam
import numpy as np
import torch
from apache_beam.ml.inference.base import RunInference as BeamsRunInference

from beam_cases.classifier import VOCABULARY, Classifier, label
from harness.contest import Contest, Work
from harness.measure import ratios
from harness.result import Result, Settings
from runinference import Engine
from runinference.beam import RunInference
from runinference.benchmarks.engines.bundles import Steps, pickled_steps

_THREADS = 16
_TOKENS = 16
_THROUGHPUT = 5.0
_LATENCY = 1.0

Call = Callable[[Any], Any]


def run(settings: Settings) -> list[Result]:
    """Elements per second, and the 99th percentile of the time that an element takes."""
    torch.set_num_threads(1)
    classifier = Classifier(layers=2, width=64) if settings.quick else Classifier(layers=24, width=64)
    random = torch.Generator().manual_seed(4)
    count = _THREADS * (5 if settings.quick else 60)
    rows = list(torch.randint(VOCABULARY, (count, _TOKENS), generator=random))
    with ExitStack() as stack:
        loops = {
            "ours": _Loop(stack.enter_context(_driven(RunInference(classifier.of_tensors())))),
            "Beam's": _Loop(stack.enter_context(_driven(BeamsRunInference(classifier.beams_of_tensors())))),
            "submit": _Loop([partial(_submit, stack.enter_context(Engine(classifier.of_tensors())))] * _THREADS),
        }
        works = {name: Work(count, partial(loop.over, rows), label) for name, loop in loops.items()}
        contest = Contest.hold("bundles", works, settings.repeat)
    return [
        contest.against("ours", "Beam's", _THROUGHPUT),
        _latencies(loops["ours"], loops["Beam's"]),
        contest.against("ours", "submit"),
    ]


@dataclass
class _Loop:
    """Threads that each send the next row when the one before is answered.

    Attributes:
        calls: What each thread does with a row.
        p99_s: The 99th percentile of the seconds for a row, of each pass.
    """

    calls: Sequence[Call]
    p99_s: list[float] = field(default_factory=list)

    def over(self, rows: Sequence[Any]) -> list[Any]:
        answers: list[Any] = [None] * len(rows)
        took = np.zeros(len(rows))

        def work(thread: int) -> None:
            for row in range(thread, len(rows), len(self.calls)):
                start = time.perf_counter()
                answers[row] = self.calls[thread](rows[row])
                took[row] = time.perf_counter() - start

        with ThreadPoolExecutor(len(self.calls)) as pool:
            list(pool.map(work, range(len(self.calls))))
        self.p99_s.append(float(np.percentile(took, 99)))
        return answers


@contextmanager
def _driven(transform: beam.PTransform) -> Iterator[list[Call]]:
    pickled = pickled_steps(transform)
    with ExitStack() as stack:
        yield [partial(_bundle, stack.enter_context(Steps(pickled))) for _ in range(_THREADS)]


def _bundle(steps: Steps, row: Any) -> Any:
    (result,) = steps.bundle([row])
    return result


def _submit(engine: Engine, row: Any) -> Any:
    return engine.submit(row).result()


def _latencies(ours: _Loop, peer: _Loop) -> Result:
    mine, theirs = ours.p99_s[1:], peer.p99_s[1:]  # The first pass was to warm up.
    return Result(
        "bundles: p99 of an element, ours vs Beam's",
        ours=median(mine) * 1e3,
        peer=median(theirs) * 1e3,
        unit="ms",
        values=ratios(mine, theirs),
        target=_LATENCY,
        at_least=False,
        samples={"ours_s": mine, "peer_s": theirs},
    )
