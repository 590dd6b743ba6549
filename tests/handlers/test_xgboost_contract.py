"""The XGBoost handlers keep the contract of handlers, with estimators and boosters, in both file formats."""

import functools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xgboost

from runinference import XGBoostModelHandlerNumpy, XGBoostModelHandlerPandas, XGBoostModelHandlerSciPy
from runinference.testing.handler_contract import HandlerContract

FEATURES = ["age", "income", "debt"]


def data(rows=80):
    random = np.random.default_rng(3)
    rows = random.normal(size=(rows, 3)).astype(np.float32)
    return rows, (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)


class Arrays(HandlerContract):
    """Rows as arrays of three features; the model is a classifier."""

    handler_class = XGBoostModelHandlerNumpy
    model_class = xgboost.XGBClassifier
    suffix = "json"

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        self.folder = tmp_path
        self.trained, self.path = self.train(tmp_path, "model", 1)

    def train(self, folder, name, sign):
        x, y = data()
        trained = xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(self.training(x), y[::sign])
        path = str(folder / f"{name}.{self.suffix}")
        trained.save_model(path)
        return trained, path

    def training(self, x):
        return x

    def handler(self, **options):
        return self.handler_class(self.model_class, self.path, **options)

    def examples(self, count):
        return list(np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32))

    def joined(self, examples):
        return np.array(examples)

    def of_rows(self, predictions):
        """What becomes of the predictions for rows that are examples each."""
        return list(predictions)

    def expected(self, examples):
        return self.of_rows(self.trained.predict(self.joined(examples)))

    def bad_example(self):
        return np.array(["1", "2", "x"])

    def bytes_of(self, example):
        return 12

    def model_bytes(self):
        return 500

    def honoured_args(self):
        margins = self.trained.predict(self.joined(self.examples(3)), output_margin=True)
        return {"output_margin": True}, self.of_rows(margins)

    def other_model(self):
        trained, path = self.train(self.folder, "other", -1)
        return path, self.of_rows(trained.predict(self.joined(self.examples(3))))

    def package(self):
        return "xgboost", "xgboost"


class TestNumpyClassifierJson(Arrays):
    pass


class TestNumpyClassifierUbj(Arrays):
    suffix = "ubj"


class TestNumpyWithParameters(Arrays):
    model_class = functools.partial(xgboost.XGBClassifier, n_jobs=1)


class Boosters:
    """The bare booster: probabilities instead of labels."""

    model_class = xgboost.Booster

    def expected(self, examples):
        return self.of_rows(self.trained.predict_proba(self.joined(examples))[:, 1])

    def honoured_args(self):
        matrix = xgboost.DMatrix(self.joined(self.examples(3)))
        return {"pred_contribs": True}, self.of_rows(self.trained.get_booster().predict(matrix, pred_contribs=True))

    def other_model(self):
        trained, path = self.train(self.folder, "other", -1)
        return path, self.of_rows(trained.predict_proba(self.joined(self.examples(3)))[:, 1])


class TestNumpyBooster(Boosters, Arrays):
    def bad_example(self):
        return np.array([1.0, np.inf, 2.0])


class TestNumpyBlocks(Arrays):
    """Elements of two rows each."""

    def examples(self, count):
        return list(np.random.default_rng(1).normal(size=(count, 2, 3)).astype(np.float32))

    def joined(self, examples):
        return np.concatenate(examples)

    def of_rows(self, predictions):
        return list(predictions.reshape(-1, 2))

    def bad_example(self):
        return np.zeros((2, 4))

    def bytes_of(self, example):
        return 24


class Frames(Arrays):
    """Frames of one row; the model knows the names of its columns."""

    handler_class = XGBoostModelHandlerPandas

    def training(self, x):
        return pd.DataFrame(x, columns=FEATURES)

    def examples(self, count):
        frame = pd.DataFrame(np.array(super().examples(count)), columns=FEATURES)
        return [frame.iloc[i : i + 1] for i in range(count)]

    def joined(self, examples):
        return pd.concat(examples)

    def of_rows(self, predictions):
        return [predictions[i : i + 1] for i in range(len(predictions))]

    def bad_example(self):
        return pd.DataFrame([[1.0, "old", 2.0]], columns=FEATURES)

    def test_a_package_that_is_missing_is_named(self, monkeypatch):
        super().test_a_package_that_is_missing_is_named(monkeypatch)
        self.package = lambda: ("pandas", "pandas")
        super().test_a_package_that_is_missing_is_named(monkeypatch)


class TestPandasClassifier(Frames):
    pass


class TestPandasBooster(Boosters, Frames):
    suffix = "ubj"


class Sparse(Arrays):
    """Sparse matrices of one row, in which a part of the values is missing."""

    handler_class = XGBoostModelHandlerSciPy

    def training(self, x):
        return scipy.sparse.csr_matrix(np.where(x > 1, 0, x))

    def examples(self, count):
        x = np.array(super().examples(count))
        return [scipy.sparse.csr_matrix(row[None]) for row in np.where(x > 1, 0, x)]

    def joined(self, examples):
        return scipy.sparse.vstack(examples, format="csr")

    def of_rows(self, predictions):
        return [predictions[i : i + 1] for i in range(len(predictions))]

    def bad_example(self):
        return scipy.sparse.csr_matrix((1, 4), dtype=np.float32)

    def bytes_of(self, example):
        return example.data.nbytes + example.indices.nbytes + example.indptr.nbytes


class TestSciPyClassifier(Sparse):
    pass


class TestSciPyBooster(Boosters, Sparse):
    pass
