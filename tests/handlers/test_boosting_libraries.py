"""LightGBM and CatBoost estimators run with the scikit-learn handlers, which keep their contract with them."""

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor

from runinference import ModelFileType, SklearnModelHandlerNumpy, SklearnModelHandlerPandas, infer, infer_table
from runinference.testing.handler_contract import HandlerContract

FEATURES = ["age", "income", "debt"]


def data(rows=100):
    x = np.random.default_rng(3).normal(size=(rows, 3))
    return x, (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(int)


class Arrays(HandlerContract):
    """Rows as arrays of three features."""

    handler_class = SklearnModelHandlerNumpy

    def estimator(self):
        return LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        self.folder = tmp_path
        self.trained, self.path = self.train("model", 1)

    def train(self, name, sign):
        x, y = data()
        trained = self.estimator().fit(self.training(x), y[::sign])
        path = str(self.folder / f"{name}.joblib")
        joblib.dump(trained, path)
        return trained, path

    def training(self, x):
        return x

    def handler(self, **options):
        return self.handler_class(self.path, ModelFileType.JOBLIB, **options)

    def examples(self, count):
        return list(np.random.default_rng(1).normal(size=(count, 3)))

    def joined(self, examples):
        return np.array(examples)

    def expected(self, examples):
        return list(self.trained.predict(self.joined(examples)))

    def bad_example(self):
        return np.zeros(2)

    def bytes_of(self, example):
        return 24

    def honoured_args(self):
        expected = self.trained.predict(self.joined(self.examples(3)), raw_score=True)
        return {"raw_score": True}, list(expected)

    def refused_args(self):
        # LightGBM takes every name as one of its parameters; only this one is taken already.
        return {"X": 1}

    def other_model(self):
        trained, path = self.train("other", -1)
        return path, list(trained.predict(self.joined(self.examples(3))))

    def model_bytes(self):
        # The trees are in the memory of the library, where they cannot be counted.
        return 0

    def package(self):
        return "joblib", "sklearn"


class Frames:
    """Rows as frames of one row."""

    handler_class = SklearnModelHandlerPandas

    def training(self, x):
        return pd.DataFrame(x, columns=FEATURES)

    def examples(self, count):
        frame = pd.DataFrame(np.array(super().examples(count)), columns=FEATURES)
        return [frame.iloc[i : i + 1] for i in range(count)]

    def joined(self, examples):
        return pd.concat(examples)

    def bad_example(self):
        return pd.DataFrame([[1.0, "old", 2.0]], columns=FEATURES)

    def package(self):
        return "pandas", "pandas"


class CatBoost:
    """A model of CatBoost; it may write no files beside the test."""

    def estimator(self):
        return CatBoostClassifier(iterations=5, thread_count=1, verbose=0, allow_writing_files=False)

    def honoured_args(self):
        expected = self.trained.predict(self.joined(self.examples(3)), prediction_type="Probability")
        return {"prediction_type": "Probability"}, list(expected)

    def refused_args(self):
        return {"no_such_argument": 1}


class TestLightGBMNumpy(Arrays):
    pass


class TestLightGBMPandas(Frames, Arrays):
    pass


class TestCatBoostNumpy(CatBoost, Arrays):
    pass


class TestCatBoostPandas(CatBoost, Frames, Arrays):
    pass


class TestLightGBMNumpyWithNames(Arrays):
    """Arrays for a model that was trained on a frame."""

    def training(self, x):
        return pd.DataFrame(x, columns=FEATURES)

    def joined(self, examples):
        return pd.DataFrame(np.array(examples), columns=FEATURES)


BOTH = pytest.mark.parametrize("kind", [SklearnModelHandlerNumpy, SklearnModelHandlerPandas])
LIBRARIES = pytest.mark.parametrize("library", ["lightgbm", "catboost"])


def train(folder, library, columns):
    """A regressor, trained on a frame with `columns` or on an array, and the path of its file."""
    if library == "lightgbm":
        estimator = LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1)
    else:
        estimator = CatBoostRegressor(iterations=5, thread_count=1, verbose=0, allow_writing_files=False)
    x, _ = data()
    estimator.fit(x if columns is None else pd.DataFrame(x, columns=columns), x @ [1, 10, 100])
    path = str(folder / "model.joblib")
    joblib.dump(estimator, path)
    return estimator, path


def run(source, handler):
    return pa.Table.from_batches(infer_table(source, handler)).column("prediction").to_numpy()


@BOTH
@LIBRARIES
@pytest.mark.parametrize("columns", [FEATURES, None])
def test_tables_run_as_they_are(tmp_path, kind, library, columns):
    estimator, path = train(tmp_path, library, columns)
    x, _ = data()
    frame = pd.DataFrame(x, columns=columns)
    source = pd.DataFrame(x, columns=FEATURES)
    handler = kind(path, ModelFileType.JOBLIB)
    np.testing.assert_allclose(run(source, handler), estimator.predict(frame))
    np.testing.assert_allclose(run(x, handler), estimator.predict(frame))


@BOTH
@LIBRARIES
def test_columns_of_a_table_are_picked_by_name(tmp_path, kind, library):
    estimator, path = train(tmp_path, library, FEATURES)
    frame = pd.DataFrame(data()[0], columns=FEATURES)
    shuffled = frame[FEATURES[::-1]].assign(note="text")
    np.testing.assert_allclose(run(shuffled, kind(path, ModelFileType.JOBLIB)), estimator.predict(frame))


@LIBRARIES
def test_columns_of_frames_go_by_name(tmp_path, library):
    estimator, path = train(tmp_path, library, FEATURES)
    frame = pd.DataFrame(data()[0], columns=FEATURES)
    rows = [frame.iloc[i : i + 1][FEATURES[::-1]] for i in range(9)]
    found = [result.inference for result in infer(rows, SklearnModelHandlerPandas(path, ModelFileType.JOBLIB))]
    np.testing.assert_allclose(found, estimator.predict(frame)[:9])


@LIBRARIES
def test_a_frame_without_a_column_fails_alone(tmp_path, library):
    _, path = train(tmp_path, library, FEATURES)
    frame = pd.DataFrame(data()[0], columns=FEATURES)
    failures = []
    rows = [frame.iloc[:1], frame.iloc[1:2].rename(columns={"income": "incone"}), frame.iloc[2:3]]
    handler = SklearnModelHandlerPandas(path, ModelFileType.JOBLIB)
    assert len(list(infer(rows, handler, on_failure=failures.append))) == 2
    assert [failure.index for failure in failures] == [1]
    assert "Column 'income' is missing. Did you mean 'incone'?" in failures[0].message
