"""The TensorFlow handlers on tables, which they take as they are."""

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from runinference import (
    ModelFaultError,
    PredictionResult,
    TFModelHandlerNumpy,
    TFModelHandlerTensor,
    infer_table,
)

# Keras itself hands numpy an object without the newer form of __array__ when it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
BOTH = pytest.mark.parametrize("kind", [TFModelHandlerNumpy, TFModelHandlerTensor])


def ones(units):
    return keras.layers.Dense(units, kernel_initializer="ones")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    keras.Sequential([keras.Input((3,)), ones(1), keras.layers.Flatten()]).save(folder / "matrix.keras")
    keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten(), ones(2)]).save(folder / "image.keras")
    age, words = keras.Input((1,), name="age"), keras.Input((2,), name="words")
    total = keras.layers.Add(name="total")([age, keras.ops.sum(words, axis=1, keepdims=True)])
    keras.Model([words, age], {"total": total, "age": age}).save(folder / "named.keras")

    class Lengths(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def __call__(self, texts):
            return tf.strings.length(texts)

    tf.saved_model.save(Lengths(), str(folder / "texts"))
    return folder


def matrix(rows=50):
    return np.random.default_rng(2).normal(size=(rows, 3))


def run(source, handler, **arguments):
    return pa.Table.from_batches(infer_table(source, handler, **arguments)).column("prediction").to_pylist()


@BOTH
def test_all_columns_are_the_features_of_a_model_with_one_input(models, kind):
    handler = kind(str(models / "matrix.keras"))
    expected = matrix().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run(matrix(), handler), expected, rtol=1e-4, atol=1e-5)
    table = pa.table(dict(zip("abc", matrix().T, strict=True)))
    np.testing.assert_allclose(run(table, handler), expected, rtol=1e-4, atol=1e-5)
    lists = pa.table({"features": list(matrix())})
    np.testing.assert_allclose(run(lists, handler), expected, rtol=1e-4, atol=1e-5)


@BOTH
def test_inputs_with_names_are_the_columns_of_these_names(models, kind):
    table = pa.table({"note": ["x", "y"], "words": [[1, 2], [3, 4]], "age": [10, 20]})
    found = run(table, kind(str(models / "named.keras")))
    assert [{name: list(value) for name, value in row.items()} for row in found] == [
        {"total": [13], "age": [10]},
        {"total": [27], "age": [20]},
    ]


def test_a_missing_column_is_named_with_the_closest(models):
    table = pa.table({"words": [[1, 2]], "agee": [10]})
    with pytest.raises(ModelFaultError, match=r"column 'age', which the table does not have. Did you mean 'agee'"):
        run(table, TFModelHandlerNumpy(str(models / "named.keras")))


def test_columns_without_names_cannot_be_several_inputs(models):
    with pytest.raises(ModelFaultError, match="2 inputs, 'words', 'age'; it needs a table with these columns"):
        run(matrix(2), TFModelHandlerNumpy(str(models / "named.keras")))


def test_too_few_columns_are_told(models):
    with pytest.raises(ModelFaultError, match="trained with 3 features but is given 2 columns"):
        run(matrix()[:, :2], TFModelHandlerNumpy(str(models / "matrix.keras")))


def test_a_list_of_numbers_takes_the_shape_of_the_input(models):
    handler = TFModelHandlerNumpy(str(models / "image.keras"))
    assert run(pa.table({"pixels": [[1, 2, 3, 4], [0, 0, 0, 1]]}), handler) == [[10, 10], [1, 1]]
    assert run(np.ones((2, 4)), handler) == [[4, 4]] * 2


@pytest.mark.parametrize("column", [["a", "bcd", ""], [b"a", b"bc\0", b""]])
def test_a_column_of_texts_is_the_input_of_texts(models, column):
    handler = TFModelHandlerNumpy(str(models / "texts"))
    assert run(pa.table({"review": column}), handler) == [1, 3, 0]


def test_only_the_row_without_a_text_is_set_aside(models):
    failures = []
    source = pa.table({"review": ["a", None, "bcd"]})
    assert run(source, TFModelHandlerNumpy(str(models / "texts")), on_failure=failures.append) == [1, 3]
    assert [failure.index for failure in failures] == [1]
    assert "Column 'review' must hold texts or bytes, got None" in failures[0].message


def test_only_the_row_with_text_is_set_aside(models):
    failures = []
    source = pa.table({"a": ["1", "old", "3"], "b": [1, 1, 1], "c": [1, 1, 1]})
    found = run(source, TFModelHandlerNumpy(str(models / "matrix.keras")), on_failure=failures.append)
    assert found == [[3], [5]]
    assert [(failure.index, failure.example["a"]) for failure in failures] == [(1, "old")]


@BOTH
def test_single_rows_of_a_table_are_rows_too(models, kind):
    """Steps before the model need single rows, which come as dicts of the columns."""
    table = pa.table(dict(zip("abc", matrix(4).T, strict=True)))
    handler = kind(str(models / "matrix.keras")).with_preprocess_fn(lambda row: row)
    handler = handler.with_postprocess_fn(lambda result: float(result.inference[0]))
    np.testing.assert_allclose(run(table, handler), matrix(4).sum(axis=1), rtol=1e-4, atol=1e-5)


@BOTH
def test_a_function_of_ones_own_gets_rows(models, kind):
    def add(model, batch, inference_args, model_id):
        assert all(tf.is_tensor(row) == (kind is TFModelHandlerTensor) for row in batch)
        values = np.asarray(model(tf.stack(batch))) + inference_args["plus"]
        return [PredictionResult(row, value, model_id) for row, value in zip(batch, values, strict=True)]

    handler = kind(str(models / "matrix.keras"), inference_fn=add)
    found = run(matrix(4).astype(np.float32), handler, inference_args={"plus": 10})
    np.testing.assert_allclose(found, matrix(4).sum(axis=1, keepdims=True) + 10, rtol=1e-4)
