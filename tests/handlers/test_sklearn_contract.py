"""The scikit-learn handlers keep the contract of handlers, with real models of every file type."""

import pickle
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import BayesianRidge

from runinference import ModelFileType, SklearnModelHandlerNumpy, SklearnModelHandlerPandas
from runinference.testing.handler_contract import HandlerContract

WRITERS = {
    ModelFileType.PICKLE: lambda model, path: path.write_bytes(pickle.dumps(model)),
    ModelFileType.JOBLIB: joblib.dump,
    ModelFileType.SKOPS: skops.io.dump,
}
PACKAGES = {ModelFileType.JOBLIB: ("joblib", "sklearn"), ModelFileType.SKOPS: ("skops", "skops")}
FEATURES = ["age", "income", "debt"]


class Arrays(HandlerContract):
    """Rows as arrays of three features; the model is `linear`."""

    kind = ModelFileType.PICKLE

    @pytest.fixture(autouse=True)
    def files(self, models, trained):
        self.path = str(models / f"linear.{self.kind.name.lower()}")
        self.trained = trained

    def handler(self, **options):
        return SklearnModelHandlerNumpy(self.path, self.kind, **options)

    def examples(self, count):
        return list(np.random.default_rng(1).normal(size=(count, 3)))

    def expected(self, examples):
        return list(self.trained.predict(np.array(examples)))

    def bad_example(self):
        return np.array([1.0, np.nan, 2.0])

    def bytes_of(self, example):
        return 24

    def model_bytes(self):
        return 24

    def other_model(self):
        trained = pickle.loads(pickle.dumps(self.trained))
        trained.intercept_ = trained.intercept_ + 100
        path = Path(self.path).with_name(f"other-{Path(self.path).name}")
        WRITERS[self.kind](trained, path)
        return str(path), list(trained.predict(self.matrix(3)))

    def matrix(self, count):
        return np.array(self.examples(count))

    def package(self):
        return PACKAGES.get(self.kind)


class TestNumpyPickle(Arrays):
    pass


class TestNumpyJoblib(Arrays):
    kind = ModelFileType.JOBLIB


class TestNumpySkops(Arrays):
    kind = ModelFileType.SKOPS


class Frames(Arrays):
    """Rows as frames of one row; the model is `named`."""

    @pytest.fixture(autouse=True)
    def files(self, models, trained):
        self.path = str(models / f"named.{self.kind.name.lower()}")
        self.trained = pickle.loads((models / "named.pickle").read_bytes())

    def handler(self, **options):
        return SklearnModelHandlerPandas(self.path, self.kind, **options)

    def examples(self, count):
        frame = pd.DataFrame(np.array(super().examples(count)), columns=FEATURES)
        return [frame.iloc[i : i + 1] for i in range(count)]

    def expected(self, examples):
        return list(self.trained.predict(pd.concat(examples)))

    def matrix(self, count):
        return pd.concat(self.examples(count))

    def package(self):
        return "pandas", "pandas"

    def bad_example(self):
        return pd.DataFrame([[1.0, np.nan, 2.0]], columns=FEATURES)


class TestPandasPickle(Frames):
    pass


class TestPandasJoblib(Frames):
    kind = ModelFileType.JOBLIB


class TestPandasSkops(Frames):
    kind = ModelFileType.SKOPS


class Bayes:
    """A model that tells its deviation too."""

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        x = np.random.default_rng(0).normal(size=(20, 3))
        self.trained = BayesianRidge().fit(x, x.sum(axis=1))
        self.path = str(tmp_path / "bayes.joblib")
        joblib.dump(self.trained, self.path)
        self.kind = ModelFileType.JOBLIB


def with_deviation(model, matrix, inference_args):
    """One vector of mean and deviation for each row."""
    return np.column_stack(model.predict(matrix, **(inference_args or {}), return_std=True))


class TestNumpyOwnFunction(Bayes, Arrays):
    """With an `inference_fn`, which is given the arguments as they are."""

    def handler(self, **options):
        def run(model, batch, inference_args=None):
            scale = (inference_args or {}).get("scale", 1)
            if set(inference_args or ()) - {"scale"}:
                raise TypeError(f"unexpected {inference_args}")
            return with_deviation(model, np.stack(batch), {}) * scale

        return SklearnModelHandlerNumpy(self.path, self.kind, inference_fn=run, **options)

    def expected(self, examples):
        return list(with_deviation(self.trained, np.array(examples), {}))

    def other_model(self):
        path, _ = super().other_model()
        return path, list(with_deviation(joblib.load(path), self.matrix(3), {}))

    def honoured_args(self):
        return {"scale": 3}, list(3 * with_deviation(self.trained, np.array(self.examples(3)), {}))

    def test_the_handler_pickles_before_it_loads(self):
        pytest.skip("a function within a function does not pickle")
