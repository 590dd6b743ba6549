"""What the engine costs: rows through a small model, against a hand-written loop.

A logistic regression on 64 float32 takes a fraction of a microsecond for each row, so everything else shows. The loop
stacks with `np.stack`, as people write it. A second loop uses `np.array`, which is faster on many small rows; it
bounds what any loop could reach and has no target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

import joblib
import numpy as np

from harness import data
from harness.measure import alternate, ratios, seconds
from harness.result import Result, Settings
from runinference import ModelFileType, PredictionResult, SklearnModelHandlerNumpy, infer

_BATCH_ROWS = 1024
_TARGET = 0.7

Infer = Callable[[Iterable[Any]], Iterator[PredictionResult]]


def run(settings: Settings) -> list[Result]:
    """From a list and from a generator."""
    rows = list(data.matrix(100_000 if settings.quick else 1_000_000))
    path = str(data.model_file())
    contestants: dict[str, Infer] = {
        "ours": lambda examples: infer(examples, SklearnModelHandlerNumpy(path, ModelFileType.JOBLIB)),
        "loop": partial(_loop, path, np.stack),
        "np.array loop": partial(_loop, path, np.array),
    }
    results = []
    for kind, examples in (("list", lambda: rows), ("generator", lambda: (row for row in rows))):
        equal = all(
            _same(contestants["ours"](examples()), contestants[peer](examples())) for peer in list(contestants)[1:]
        )
        samples = alternate(
            {name: partial(_time, contestant, examples) for name, contestant in contestants.items()}, settings.repeat
        )
        for peer, target in (("loop", _TARGET), ("np.array loop", None)):
            results.append(
                Result(
                    f"engine_overhead: {kind} vs {peer}",
                    ours=len(rows) / median(samples["ours"]),
                    peer=len(rows) / median(samples[peer]),
                    unit="rows/s",
                    values=ratios(samples[peer], samples["ours"]),
                    target=target,
                    answers_equal=equal,
                    samples={f"{name}_s": samples[name] for name in ("ours", peer)},
                )
            )
    return results


def _loop(path: str, stack: Callable[[list[Any]], Any], examples: Iterable[Any]) -> Iterator[PredictionResult]:
    model = joblib.load(path)
    rows = iter(examples)
    while batch := list(islice(rows, _BATCH_ROWS)):
        for example, prediction in zip(batch, model.predict(stack(batch)), strict=True):
            yield PredictionResult(example, prediction, path)


def _time(contestant: Infer, examples: Callable[[], Iterable[Any]]) -> float:
    rows = examples()
    return seconds(lambda: deque(contestant(rows), maxlen=0))


def _same(ours: Iterable[PredictionResult], theirs: Iterable[PredictionResult]) -> bool:
    return all(
        a.example is b.example and a.inference == b.inference and a.model_id == b.model_id
        for a, b in zip(ours, theirs, strict=True)
    )
