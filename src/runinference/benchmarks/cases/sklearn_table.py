"""Rows of a table through models of scikit-learn."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.made import made_once
from runinference.benchmarks.data.tables import made_labels, made_matrix, num_bytes, rows_of
from runinference.benchmarks.data.weights import own_weights
from runinference.benchmarks.workers import check_reach
from runinference.packages import require

_FEATURES = 64
_TRAINING_ROWS = 20_000
_TREES, _DEPTH = 20, 10


class SklearnTable(Benchmark):
    """Classifies rows of 64 float32, each an array of its own.

    `logistic-regression` costs a fraction of a microsecond for each row, so what is measured is the engine;
    `random-forest` has 20 trees of depth 10. Both are trained on made rows of two classes. `--weights` names a model
    of one's own, pickled or, with the suffix `.joblib`, written by joblib; `--input` a table whose columns are its
    features. Beam forms batches as it does where nothing is said.
    """

    name = "sklearn-table"
    title = "Table, scikit-learn"
    models = ("logistic-regression", "random-forest")
    extras = ("sklearn",)
    default_examples = 1_000_000
    equal = 0.9999  # A row may be on the border of both classes up to rounding.

    def prepare(self) -> None:
        """Trains the model."""
        check_reach(self.settings, self._model_file())

    def examples(self) -> Sequence[Any]:
        """Rows."""
        return rows_of(self.settings, _FEATURES)

    def handler(self) -> Any:
        """`SklearnModelHandlerNumpy`."""
        from runinference.handlers.sklearn import ModelFileType, SklearnModelHandlerNumpy

        path = self._model_file()
        return SklearnModelHandlerNumpy(path, ModelFileType[_file_type(path)], **self.settings.handler_options)

    def beams_handler(self) -> Any:
        """Beam's of the same name."""
        beams = require("apache_beam.ml.inference.sklearn_inference", "beam", f"run {self.name} on Beam")
        path = self._model_file()
        return beams.SklearnModelHandlerNumpy(path, beams.ModelFileType[_file_type(path)])

    def answer(self, inference: Any) -> int:
        """The class."""
        return int(inference)

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """Of the numbers."""
        return num_bytes(examples)

    def _model_file(self) -> str:
        weights = own_weights(self.settings)
        if weights is not None:
            return weights
        require("sklearn", "sklearn", f"run {self.name}")
        name = f"{self.settings.model}-{_FEATURES}-scikit-learn-{version('scikit-learn')}.pickle"
        return str(made_once(name, self._train))

    def _train(self, path: Path) -> None:
        rows = made_matrix(_TRAINING_ROWS, _FEATURES, seed=0)
        model = _MODELS[self.settings.model]().fit(rows, made_labels(rows))
        path.write_bytes(pickle.dumps(model))


def _file_type(path: str) -> str:
    return "JOBLIB" if path.endswith(".joblib") else "PICKLE"


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200)


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=_TREES, max_depth=_DEPTH, random_state=0)


_MODELS = {"logistic-regression": _logistic_regression, "random-forest": _random_forest}
