"""Boosted trees, 100 of depth 6, on 100,000 rows of 32 float32: `infer`, a loop in batches of 4,096, Beam's handler.

Beam's handler predicts element by element, so each row is given to it as an array of shape (1, 32); it is measured on
a fiftieth of the rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from harness import beam, data
from harness.compute import THREADS
from harness.contest import Contest, Work
from harness.machine import versions
from harness.result import Result, Settings
from runinference import Engine, XGBoostModelHandlerNumpy, infer

_FEATURES = 32
_BATCH_ROWS = 4096
_OF_LOOP = 0.95

Rows = Sequence[np.ndarray[Any, Any]]


def new_model() -> xgboost.XGBClassifier:
    """An empty model with as many threads as every contestant has."""
    return xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=THREADS)


def answer(result: Any) -> int:
    """The class of a row, or of a block of one row."""
    return int(np.ravel(result.inference)[0])


def run(settings: Settings) -> list[Result]:
    """Rows that are arrays of their own in a list."""
    rows = list(_matrix(5_000 if settings.quick else 100_000, seed=1))
    path = _model_file()
    handler = XGBoostModelHandlerNumpy(new_model, str(path))
    model = new_model()
    model.load_model(path)
    with Engine(handler) as engine:
        deque(engine.map(rows[:1]), maxlen=0)
        contest = Contest.hold(
            "xgboost",
            {
                "ours": Work(len(rows), lambda: list(infer(rows, handler)), answer),
                "loop": Work(len(rows), partial(_loop, rows, model)),
                **_beam(path, rows[: len(rows) // 50]),
            },
            settings.repeat,
        )
    return [
        contest.against("ours", "loop", _OF_LOOP),
        contest.against("ours", "Beam's handler"),
        contest.against("ours", "Beam's pipeline"),
    ]


def _matrix(rows: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((rows, _FEATURES), dtype=np.float32)


def _model_file() -> Path:
    def write(path: Path) -> None:
        features = _matrix(20_000, seed=0)
        labels = (features @ np.linspace(-1, 1, _FEATURES, dtype=np.float32) > 0).astype(np.int64)
        saved = path.with_name(f"{path.name}.ubj")
        new_model().fit(features, labels).save_model(saved)
        saved.rename(path)

    return data.made_once(f"trees-{_FEATURES}-xgboost-{versions(['xgboost'])['xgboost']}.ubj", write)


def _loop(rows: Rows, model: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(rows), _BATCH_ROWS):
        found.extend(model.predict(np.stack(rows[start : start + _BATCH_ROWS])))
    return found


def _beam(path: Path, rows: Rows) -> dict[str, Work]:
    if not beam.installed():
        return {}
    beam.stand_in_for_datatable()
    from apache_beam.ml.inference.xgboost_inference import XGBoostModelHandlerNumpy as Handler

    handler = Handler(new_model, str(path))
    model = handler.load_model()
    blocks = [row[np.newaxis] for row in rows]

    return {
        "Beam's handler": Work(len(blocks), lambda: list(beam.call(handler, model, blocks, _BATCH_ROWS)), answer),
        "Beam's pipeline": Work(len(blocks), partial(beam.pipeline, handler, blocks, answer)),
    }
