"""Tables that several models run on: blocks stay blocks on their way to each."""

import joblib
import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

from runinference import (
    ConfigurationError,
    EnsembleModelHandler,
    InferenceError,
    KeyedModelHandler,
    KeyModelMapping,
    Metrics,
    ModelFileType,
    SklearnModelHandlerNumpy,
    infer_table,
)
from runinference.testing.fakes import CountingHandler

WORKERS = pytest.mark.parametrize("workers", [None, 0, 2])


class Blocks(SklearnModelHandlerNumpy):
    """Takes note of what it is given."""

    def __init__(self, path, seen, **options):
        super().__init__(path, ModelFileType.JOBLIB, **options)
        self.seen = seen

    def run_inference_on_block(self, block, model, inference_args=None):
        self.seen.append(type(block).__name__)
        return super().run_inference_on_block(block, model, inference_args)


@pytest.fixture
def handler(tmp_path):
    """Makes a handler whose model multiplies the sum of the features."""

    def make(factor, **options):
        rows = np.arange(10.0).reshape(5, 2)
        path = tmp_path / f"{factor}.joblib"
        joblib.dump(LinearRegression().fit(rows, rows.sum(axis=1) * factor), path)
        return Blocks(str(path), make.seen, **options)

    make.seen = []
    return make


def table(rows=10_000, names=("x", "y", "z")):
    return pa.table(
        {
            "key": [names[n * 7 % len(names)] for n in range(rows)],
            "a": np.arange(float(rows)),
            "b": np.ones(rows),
        }
    )


@WORKERS
def test_the_model_of_each_row_is_chosen_by_the_key_column(handler, workers):
    keyed = KeyedModelHandler([KeyModelMapping(["x", "y"], handler(1)), KeyModelMapping(["z"], handler(10))])
    metrics = Metrics()
    out = pa.Table.from_batches(infer_table(table(), keyed, key="key", workers=workers, metrics=metrics))
    assert out.drop_columns("prediction").equals(table())
    factors = np.where(np.array(out["key"].to_pylist()) == "z", 10, 1)
    np.testing.assert_allclose(out["prediction"].to_numpy(), (np.arange(10_000.0) + 1) * factors)
    assert set(handler.seen) == {"RecordBatch"}
    assert metrics.snapshot()["z-num_inferences"] == out["key"].to_pylist().count("z")


def test_rows_without_a_model_or_a_key_are_set_aside(handler):
    source = table(100, ("x", "nobody", None))
    keyed = KeyedModelHandler([KeyModelMapping(["x"], handler(1))])
    failures = []
    out = pa.Table.from_batches(infer_table(source, keyed, key="key", on_failure=failures.append))
    assert out["a"].to_pylist() == [row["a"] for row in source.to_pylist() if row["key"] == "x"]
    assert [failure.index for failure in failures] == [
        n for n, row in enumerate(source.to_pylist()) if row["key"] != "x"
    ]
    assert {failure.key for failure in failures} == {"nobody", None}
    assert "no model for the key 'nobody'" in failures[0].message + failures[1].message
    with pytest.raises(InferenceError, match="no model for the key"):
        list(infer_table(source, keyed, key="key"))


def test_models_that_take_rows_and_functions_on_pairs_work_too(handler):
    keyed = KeyedModelHandler(
        [
            KeyModelMapping(["x", "y"], handler(1).with_preprocess_fn(lambda row: np.array([row["a"], row["b"]]))),
            KeyModelMapping(["z"], CountingHandler().with_preprocess_fn(lambda row: row["a"])),
        ]
    )
    out = pa.Table.from_batches(infer_table(table(300), keyed, key="key"))
    expected = [2 * row["a"] if row["key"] == "z" else row["a"] + 1 for row in table(300).to_pylist()]
    np.testing.assert_allclose(out["prediction"].to_pylist(), expected)


def test_models_whose_predictions_differ_in_shape_are_told_apart_by_an_error(tmp_path, handler):
    rows = np.arange(10.0).reshape(5, 2)
    joblib.dump(LinearRegression().fit(rows, rows), tmp_path / "two.joblib")
    keyed = KeyedModelHandler(
        [KeyModelMapping(["x", "y"], handler(1)), KeyModelMapping(["z"], Blocks(str(tmp_path / "two.joblib"), []))]
    )
    from runinference import DataError

    with pytest.raises(DataError, match="cannot be a column"):
        list(infer_table(table(100), keyed, key="key"))


def test_a_key_column_is_needed_and_must_be_there(handler):
    keyed = KeyedModelHandler([KeyModelMapping(["x"], handler(1))])
    with pytest.raises(ConfigurationError, match="pass key="):
        infer_table(table(10), keyed)
    with pytest.raises(ConfigurationError, match=r"no column .kay.\. Did you mean 'key'"):
        list(infer_table(table(10), keyed, key="kay"))


@WORKERS
def test_an_ensemble_on_tables_takes_blocks(handler, workers):
    ensemble = EnsembleModelHandler({"one": handler(1, max_batch_size=300), "two": handler(2)})
    out = pa.Table.from_batches(infer_table(table(), ensemble, key="key", workers=workers))
    assert out.drop_columns("prediction").equals(table())
    np.testing.assert_allclose(out["prediction"].combine_chunks().field("two"), 2 * (np.arange(10_000.0) + 1))
    assert set(handler.seen) == {"RecordBatch"}


def test_numbers_may_be_keys(handler):
    source = pa.table({"key": pa.array([1, 2, None, 1]), "a": np.arange(4.0), "b": np.ones(4)})
    keyed = KeyedModelHandler([KeyModelMapping([1], handler(1)), KeyModelMapping([2, None], handler(10))])
    out = pa.Table.from_batches(infer_table(source, keyed, key="key"))
    np.testing.assert_allclose(out["prediction"].to_numpy(), [1, 20, 30, 4])
