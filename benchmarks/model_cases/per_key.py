"""A model for each key: 50,000 rows of 64 float32 with 100 keys in random order, over three models.

Ours forms batches of 256 over all keys of a model. The hand-written loop does so too; nothing is asked against it, it
shows what we cost. Beam forms batches of up to 10,000 rows of all models, takes no options for them here, and calls a
model for each key in them. All load their models within the time that is measured, and of each result keep the class.

PyTorch computes with one thread for each call: a second one makes such small batches slower, Beam's most of all. With
tensors Beam is measured on a fifth of the rows: it makes a tensor of each number to count the bytes of a batch, twice.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from harness import data
from harness.contest import Contest, Work
from harness.measure import seconds
from harness.result import Result, Settings
from model_cases import beam_keys
from model_cases.three_models import COUNT, Kind, logistic, perceptrons
from runinference import KeyedModelHandler, KeyModelMapping, Metrics, infer

_KEYS = 100
_BATCH_ROWS = 256
_OF_BEAM = 5.0
_OWN_KEYS = [list(range(number, _KEYS, COUNT)) for number in range(COUNT)]

Pair = tuple[int, Any]


def run(settings: Settings) -> list[Result]:
    """With models of scikit-learn and of PyTorch."""
    torch.set_num_threads(1)
    matrix = data.matrix(5_000 if settings.quick else 50_000)
    keys = np.random.default_rng(5).integers(0, _KEYS, len(matrix)).tolist()
    return [
        result
        for kind in (logistic(), perceptrons())
        for result in _compare(kind, list(zip(keys, kind.rows(matrix), strict=True)), settings)
    ]


def coded(key: int, label: int) -> int:
    """A key and what was predicted as one number."""
    return 1000 * key + label


def of_result(label: Any, result: Pair) -> int:
    """The answer in a key and its `PredictionResult`."""
    return coded(result[0], label(result[1].inference))


def _compare(kind: Kind, rows: list[Pair], settings: Settings) -> list[Result]:
    handlers = kind.ours(min_batch_size=_BATCH_ROWS, max_batch_size=_BATCH_ROWS)
    handler = KeyedModelHandler([KeyModelMapping(own, each) for own, each in zip(_OWN_KEYS, handlers, strict=True)])
    answer = partial(of_result, kind.label)
    calls: list[float] = []

    def ours() -> list[int]:
        metrics = Metrics()
        answers = [answer(result) for result in infer(rows, handler, metrics=metrics)]
        calls.append(metrics.snapshot()["inference_calls"])
        return answers

    works = {"ours": Work(len(rows), ours), "loop": Work(len(rows), partial(_loop, kind, rows))}
    note = ""
    if beams := kind.beams():
        part = rows[: len(rows) // kind.beam_part]
        works["Beam's pipeline"] = Work(len(part), partial(beam_keys.pipeline, beams, _OWN_KEYS, part, answer))
        first = partial(beam_keys.pipeline, beams, _OWN_KEYS, part[:1], answer)
        note = f"Beam with {len(part):,} rows, and {min(seconds(first) for _ in range(3)):.1f} s for a single one"
    contest = Contest.hold(f"per_key: {kind.name}", works, settings.repeat)
    return [
        contest.against("ours", "Beam's pipeline", _OF_BEAM, note=note),
        contest.against("ours", "loop"),
        _calls(kind, rows, calls),
    ]


def _loop(kind: Kind, rows: list[Pair]) -> list[int]:
    predict = [load() for load in kind.loops]
    number_of = {key: number for number, own in enumerate(_OWN_KEYS) for key in own}
    waiting: list[list[int]] = [[] for _ in predict]
    found = [0] * len(rows)

    def call(number: int) -> None:
        predictions = predict[number]([rows[position][1] for position in waiting[number]])
        for position, prediction in zip(waiting[number], predictions, strict=True):
            found[position] = coded(rows[position][0], kind.label(prediction))
        waiting[number].clear()

    for position, (key, _) in enumerate(rows):
        number = number_of[key]
        waiting[number].append(position)
        if len(waiting[number]) == _BATCH_ROWS:
            call(number)
    for number in range(COUNT):
        if waiting[number]:
            call(number)
    return found


def _calls(kind: Kind, rows: list[Pair], calls: list[float]) -> Result:
    of_model = np.bincount([key % COUNT for key, _ in rows])
    full = int(sum(-(-of_model // _BATCH_ROWS)))
    return Result(
        f"per_key: {kind.name}: calls of the models vs full batches",
        ours=median(calls),
        peer=full,
        unit="calls",
        values=[each / full for each in calls],
        target=1.0,
        at_least=False,
        note=f"batches of {_BATCH_ROWS} rows, the last one of each model smaller",
        samples={"calls": calls},
    )
