"""The scikit-learn handlers on tables, which they take as they are."""

import numpy as np
import pyarrow as pa
import pytest

from runinference import ModelFaultError, SklearnModelHandlerNumpy, SklearnModelHandlerPandas, infer_table
from runinference.handlers.columns import to_matrix

FEATURES = ["age", "income", "debt"]
BOTH = pytest.mark.parametrize("kind", [SklearnModelHandlerNumpy, SklearnModelHandlerPandas])


def matrix(rows=50):
    return np.random.default_rng(2).normal(size=(rows, 3))


def table(rows=50):
    return pa.table(dict(zip(FEATURES, matrix(rows).T, strict=True)))


def run(source, handler, **arguments):
    return pa.Table.from_batches(infer_table(source, handler, **arguments)).column("prediction").to_pylist()


@BOTH
def test_the_columns_that_were_trained_are_picked_by_name(models, trained, kind):
    shuffled = table().select(["debt", "age", "income"]).append_column("note", pa.array(["text"] * 50))
    found = run(shuffled, kind(str(models / "named.pickle")))
    np.testing.assert_allclose(found, trained.predict(matrix()))


@BOTH
def test_a_missing_column_is_named_with_the_closest(models, kind):
    renamed = table().rename_columns(["age", "incone", "debt"])
    message = r"trained with column 'income', which the table does not have. Did you mean 'incone'\? 1 of 3"
    with pytest.raises(ModelFaultError, match=message):
        run(renamed, kind(str(models / "named.pickle")), on_failure=print)


def test_without_names_the_columns_go_in_their_order(models, trained):
    found = run(table(), SklearnModelHandlerNumpy(str(models / "linear.pickle")))
    np.testing.assert_allclose(found, trained.predict(matrix()))


@BOTH
def test_an_array_is_a_table_without_names(models, trained, kind):
    np.testing.assert_allclose(run(matrix(), kind(str(models / "linear.pickle"))), trained.predict(matrix()))


@BOTH
def test_only_the_row_with_text_is_set_aside(models, kind):
    failures = []
    ages = pa.array(["1.5", "2", "old", "4"])
    source = table(4).set_column(0, "age", ages)
    assert len(run(source, kind(str(models / "named.pickle")), on_failure=failures.append)) == 3
    (failure,) = failures
    assert (failure.index, failure.example["age"]) == (2, "old")
    assert "'old'" in failure.message


@BOTH
def test_only_the_row_with_a_null_is_set_aside(models, kind):
    failures = []
    source = table(4).set_column(0, "age", pa.array([1.0, None, 3.0, 4.0]))
    assert len(run(source, kind(str(models / "named.pickle")), on_failure=failures.append)) == 3
    assert [failure.index for failure in failures] == [1]
    assert "NaN" in failures[0].message


def test_texts_that_are_numbers_are_numbers(models, trained):
    texts = pa.table({name: [repr(float(v)) for v in column] for name, column in zip("abc", matrix(5).T, strict=True)})
    found = run(texts, SklearnModelHandlerNumpy(str(models / "linear.pickle")))
    np.testing.assert_allclose(found, trained.predict(matrix(5)))


@BOTH
def test_a_function_may_return_a_mapping_for_a_table_as_for_rows(models, kind):
    def run_both(model, batch, inference_args=None):
        return {"low": [1, 2], "high": [3, 4]}

    handler = kind(str(models / "linear.pickle"), inference_fn=run_both)
    assert run(matrix(2), handler) == [{"low": 1, "high": 3}, {"low": 2, "high": 4}]


@BOTH
def test_a_function_of_ones_own_gets_rows(models, kind):
    def sizes(model, batch, inference_args=None):
        return [np.asarray(row).size + (inference_args or {}).get("plus", 0) for row in batch]

    handler = kind(str(models / "linear.pickle"), inference_fn=sizes)
    assert run(matrix(4), handler, inference_args={"plus": 10}) == [13] * 4


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"a": pa.array([1, 2], pa.int8()), "b": [True, False]}, [[1, 1], [2, 0]]),
        ({"a": pa.array([1, None]), "b": [1.5, 2.5]}, [[1, 1.5], [np.nan, 2.5]]),
        ({"a": pa.array(["1", "2.5"]).dictionary_encode(), "b": [0, 0]}, [[1, 0], [2.5, 0]]),
        ({"a": pa.array([[1, 2], [3, 4]])}, [[1, 2], [3, 4]]),
        ({"a": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2))}, [[1, 2], [3, 4]]),
        ({"a": pa.nulls(2), "b": [1, 2]}, [[np.nan, 1], [np.nan, 2]]),
    ],
)
def test_columns_become_a_matrix(columns, expected):
    (batch,) = pa.table(columns).to_batches()
    np.testing.assert_array_equal(to_matrix(batch), expected)


def test_a_slice_of_lists_becomes_its_own_rows():
    column = pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int64(), 2))
    (batch,) = pa.table({"a": column}).to_batches()
    np.testing.assert_array_equal(to_matrix(batch.slice(1, 2)), [[3, 4], [5, 6]])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([0], pa.date32()), "Column 'a' is of type date32.*not a number; choose columns without it"),
        (pa.array(["1", "x"]), "Column 'a' holds text that is not a number: 'x'"),
        (pa.array([[1, 2], [3]]), "Column 'a' holds lists of 1 to 2 numbers, not of one length"),
        (pa.array([[1], None]), "Column 'a' holds a null where a list of numbers is needed"),
        (pa.array([["x"]]), "Column 'a' is of type list<.*a list column must hold numbers"),
    ],
)
def test_columns_that_are_no_numbers_are_told(column, message):
    (batch,) = pa.table({"a": column}).to_batches()
    with pytest.raises(ValueError, match=message):
        to_matrix(batch)
