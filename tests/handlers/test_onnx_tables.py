"""The ONNX handler on tables, which it takes as they are."""

import numpy as np
import onnx_models as models
import pyarrow as pa
import pytest

from runinference import ModelFaultError, OnnxModelHandlerNumpy, infer_table


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.onnx")


def run(path, source, *, columns=None, failures=None, inference_args=None, **arguments):
    handler = OnnxModelHandlerNumpy(path, **arguments)
    on_failure = None if failures is None else failures.append
    batches = infer_table(source, handler, columns=columns, on_failure=on_failure, inference_args=inference_args)
    return pa.Table.from_batches(batches).column("prediction").to_pylist()


def matrix(rows=50, features=3):
    return np.random.default_rng(2).normal(size=(rows, features))


def table(rows=50, names="abc"):
    return pa.table(dict(zip(names, matrix(rows, len(names)).T, strict=True)))


@pytest.mark.parametrize("rows", ["N", 8])
@pytest.mark.parametrize("make", [matrix, table])
def test_the_columns_side_by_side_are_the_only_input(path, make, rows):
    found = run(models.linear(path, rows=rows), make())
    np.testing.assert_allclose(found, matrix() @ models.WEIGHTS, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("make", "given"), [(matrix, "4 columns"), (table, "4 columns: a, b, c, d")])
def test_a_wrong_number_of_columns_is_told(path, make, given):
    source = make(5, 4) if make is matrix else table(5, "abcd")
    with pytest.raises(ModelFaultError, match=rf"trained with 3 features but is given {given}"):
        run(models.linear(path), source, failures=[])
    if make is table:
        assert len(run(path, source, columns=["a", "b", "c"])) == 5


def test_one_column_of_lists_is_the_only_input(path):
    rows = matrix(5, 3).tolist()
    found = run(models.linear(path), pa.table({"features": rows}))
    np.testing.assert_allclose(found, np.array(rows) @ models.WEIGHTS, rtol=1e-4, atol=1e-5)


def test_flat_lists_take_the_shape_of_the_input(path):
    rows = matrix(5, 12).astype(np.float32)
    found = run(models.identity(path, shape=("N", 3, 4)), pa.table({"image": rows.tolist()}))
    np.testing.assert_allclose(np.reshape(found, (5, 12)), rows)


def test_only_the_list_of_wrong_length_is_set_aside(path):
    failures = []
    found = run(models.linear(path), pa.table({"x": [[1, 2, 3], [1, 2], [4, 5, 6]]}), failures=failures)
    assert len(found) == 2
    assert [failure.index for failure in failures] == [1]
    assert "takes rows of shape (3,), got (2,)" in failures[0].message


def test_each_input_is_the_column_of_its_name(path):
    models.write(
        path,
        [
            models.node("Mul", ["vector", "number"], ["y"]),
            models.node("Identity", ["text"], ["same"]),
            models.node("Identity", ["count"], ["number_of"]),
        ],
        [
            models.value("vector", models.FLOAT, ["N", 2]),
            models.value("number", models.FLOAT, ["N", 1]),
            models.value("text", models.TEXT, ["N", 1]),
            models.value("count", models.INT32, ["N"]),
        ],
        [
            models.value("y", models.FLOAT, ["N", 2]),
            models.value("same", models.TEXT, ["N", 1]),
            models.value("number_of", models.INT32, ["N"]),
        ],
    )
    columns = {"id": [7, 8], "text": ["p", "q"], "count": [5, 6], "vector": [[1, 2], [3, 4]], "number": [10, 100]}
    assert run(path, pa.table(columns)) == [
        {"y": [10, 20], "same": ["p"], "number_of": 5},
        {"y": [300, 400], "same": ["q"], "number_of": 6},
    ]


def test_a_missing_column_is_told_with_the_closest(path):
    source = pa.table({"left": [1.0], "rihgt": [2.0]})
    models.write(
        path,
        [models.node("Add", ["left", "right"], ["y"])],
        [models.value(name, models.FLOAT, ["N"]) for name in ("left", "right")],
        [models.value("y", models.FLOAT, ["N"])],
    )
    with pytest.raises(ModelFaultError, match=r"column 'right', which the table does not have. Did you mean 'rihgt'"):
        run(path, source, failures=[])


def test_an_array_without_names_cannot_be_several_inputs(path):
    with pytest.raises(ModelFaultError, match=r"several inputs \(a, b\), for which an array has no columns with names"):
        run(models.two_and_two(path), matrix(), failures=[])


def test_a_column_of_texts_is_an_input_of_texts(path):
    texts = ["a", "bc", "", "d" * 500]
    assert run(models.identity(path, models.TEXT, ("N",)), pa.table({"t": texts})) == texts
    assert run(models.identity(path, models.TEXT, ("N", 1)), pa.table({"t": texts})) == [[text] for text in texts]
    both = pa.table({"t": pa.array(texts).dictionary_encode(), "u": texts})
    assert run(models.identity(path, models.TEXT, ("N", 2)), both) == [[text, text] for text in texts]


def test_only_the_row_without_a_text_is_set_aside(path):
    failures = []
    found = run(models.identity(path, models.TEXT, ("N",)), pa.table({"t": ["a", None, "b"]}), failures=failures)
    assert found == ["a", "b"]
    assert "takes texts, got NoneType None" in failures[0].message


def test_only_the_row_with_text_for_a_number_is_set_aside(path):
    failures = []
    source = table(4).set_column(0, "a", pa.array(["1.5", "2", "old", "4"]))
    assert len(run(models.linear(path), source, failures=failures)) == 3
    assert [(failure.index, failure.example["a"]) for failure in failures] == [(2, "old")]


def test_a_null_is_nan_for_floats_and_sets_the_row_aside_for_integers(path):
    found = run(models.identity(path, shape=("N",)), pa.table({"x": [1.0, None]}))
    assert found[0] == 1
    assert np.isnan(found[1])
    failures = []
    source = pa.table({"x": pa.array([1, None, 3])})
    assert run(models.identity(path, models.INT64, ("N",)), source, failures=failures) == [1, 3]
    assert [failure.index for failure in failures] == [1]


def test_arguments_are_inputs_beside_the_columns(path):
    found = run(models.shifted(path), table(5), inference_args={"shift": 2})
    np.testing.assert_allclose(found, matrix(5) + 2, rtol=1e-5)


def test_named_probabilities_are_a_struct(path):
    source = pa.table({"a": [0.25, 0.5], "b": [0.75, 0.5]})
    found = run(models.classifier(path), source, output_names=["named"])
    assert found == [{"no": 0.25, "yes": 0.75}, {"no": 0.5, "yes": 0.5}]


def test_a_function_of_ones_own_gets_rows(path):
    def sizes(session, batch, inference_args=None):
        return np.array([np.size(row) if isinstance(row, np.ndarray) else len(row) for row in batch])

    assert run(models.linear(path), table(4), inference_fn=sizes) == [3] * 4
    assert run(models.linear(path), matrix(4), inference_fn=sizes) == [3] * 4
    assert run(models.two_and_two(path), table(4, "ab"), inference_fn=sizes) == [2] * 4
    assert run(models.identity(path, models.TEXT, ("N",)), pa.table({"t": ["abc", ""]}), inference_fn=sizes) == [3, 0]


def test_steps_after_the_model_see_results(path):
    handler = OnnxModelHandlerNumpy(models.two_and_two(path)).with_postprocess_fn(
        lambda result: float(result.inference["total"][0])
    )
    source = pa.table({"a": [[1.0, 2.0]], "b": [[3.0, 4.0]]})
    found = pa.Table.from_batches(infer_table(source, handler)).column("prediction").to_pylist()
    assert found == [4]
