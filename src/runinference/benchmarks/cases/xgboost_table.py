"""Rows of a table through gradient boosted trees."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.made import made_once
from runinference.benchmarks.data.tables import made_labels, made_matrix, num_bytes, rows_of
from runinference.benchmarks.data.weights import own_weights
from runinference.benchmarks.engines import PEER
from runinference.benchmarks.passes import Pass
from runinference.benchmarks.stand_ins import stand_in_for
from runinference.benchmarks.workers import check_reach
from runinference.packages import require

_FEATURES = 32
_TRAINING_ROWS = 20_000
_TREES, _DEPTH = 100, 6


class XGBoostTable(Benchmark):
    """Classifies rows of 32 float32, each an array of its own, with 100 boosted trees of depth 6.

    They are trained on made rows of two classes. `--weights` names a model of one's own, saved by XGBoost; `--input` a
    table whose columns are its features. Beam's handler predicts element by element and takes each as an array of
    shape (1, features); they are given it so.
    """

    name = "xgboost-table"
    title = "Table, XGBoost"
    models = ("trees",)
    extras = ("xgboost", "sklearn")
    default_examples = 20_000

    def prepare(self) -> None:
        """Trains the model."""
        check_reach(self.settings, self._model_file())

    def examples(self) -> Sequence[Any]:
        """Rows."""
        return rows_of(self.settings, _FEATURES)

    def handler(self) -> Any:
        """`XGBoostModelHandlerNumpy`."""
        from runinference.handlers.xgboost.handlers import XGBoostModelHandlerNumpy
        from runinference.handlers.xgboost.model import saved_class

        path = self._model_file()
        return XGBoostModelHandlerNumpy(saved_class(path), path, **self.settings.handler_options)

    def beams_handler(self) -> Any:
        """Beam's of the same name."""
        from runinference.handlers.xgboost.model import saved_class

        stand_in_for("datatable", Frame=type("Frame", (), {}))
        beams = require("apache_beam.ml.inference.xgboost_inference", "beam", f"run {self.name} on Beam")
        path = self._model_file()
        return beams.XGBoostModelHandlerNumpy(saved_class(path), path)

    def answer(self, inference: Any) -> float:
        """The class; of a regression the value with four digits."""
        value = np.ravel(inference)[0]
        return int(value) if np.issubdtype(value.dtype, np.integer) else float(f"{value:.4g}")

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """Of the numbers."""
        return num_bytes(examples)

    def run(self, engine: str, examples: Sequence[Any]) -> Pass:
        """One pass, for Beam's handler with rows as it takes them."""
        return super().run(engine, [row[np.newaxis] for row in examples] if engine == PEER else examples)

    def _model_file(self) -> str:
        weights = own_weights(self.settings)
        if weights is not None:
            return weights
        require("xgboost", "xgboost", f"run {self.name}")
        return str(made_once(f"trees-{_FEATURES}-xgboost-{version('xgboost')}.ubj", _train))


def _train(path: Path) -> None:
    import xgboost

    rows = made_matrix(_TRAINING_ROWS, _FEATURES, seed=0)
    saved = path.with_name(f"{path.name}.ubj")  # The suffix tells XGBoost the format.
    xgboost.XGBClassifier(n_estimators=_TREES, max_depth=_DEPTH).fit(rows, made_labels(rows)).save_model(saved)
    saved.rename(path)
