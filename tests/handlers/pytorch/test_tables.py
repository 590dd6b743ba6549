"""Tables through PyTorch models."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor, infer_table

from .models import KeyedLinear, Linear, Same


def run(source, handler, **arguments):
    return pa.Table.from_batches(infer_table(source, handler, **arguments)).column("prediction").to_pylist()


def matrix(rows=6, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(rows, 3)).astype(dtype)


def outputs(module, values):
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(values, np.float32))).tolist()


def assert_close(found, wanted):
    np.testing.assert_allclose(np.array(found, float), np.array(wanted, float), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_])
def test_numbers_become_the_type_of_the_weights(saved, dtype):
    path, module = saved(Linear)
    values = (matrix() * 3).astype(dtype)
    assert_close(run(values, PytorchModelHandlerTensor(path, Linear)), outputs(module, values))


def test_columns_stand_side_by_side(saved):
    path, module = saved(Linear)
    source = pa.table({"a": [1, 2], "b": pa.array([0.5, 1.5], pa.float32()), "c": [True, False], "note": ["x", "y"]})
    found = run(source, PytorchModelHandlerTensor(path, Linear), columns=["a", "b", "c"])
    assert_close(found, outputs(module, [[1, 0.5, 1], [2, 1.5, 0]]))


def test_a_null_is_nan(saved):
    path, _ = saved(Linear)
    source = pa.table({"a": [1.0, None], "b": [1, 2], "c": [1, 2]})
    first, second = run(source, PytorchModelHandlerTensor(path, Linear))
    assert not np.isnan(first).any()
    assert np.isnan(second).all()


def test_only_the_row_with_text_is_set_aside(saved):
    path, module = saved(Linear)
    source = pa.table({"a": ["1", "two", "3"], "b": [1, 2, 3], "c": [1, 2, 3]})
    failures = []
    found = run(source, PytorchModelHandlerTensor(path, Linear), on_failure=failures.append)
    assert_close(found, outputs(module, [[1, 1, 1], [3, 3, 3]]))
    assert [(failure.index, failure.example["a"]) for failure in failures] == [(1, "two")]
    assert "'two'" in failures[0].message


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 3), pa.large_list(pa.float64())])
def test_a_column_of_lists_is_the_matrix(saved, kind):
    path, module = saved(Linear)
    values = matrix()
    source = pa.table({"vector": pa.array(values.tolist(), kind)})
    assert_close(run(source, PytorchModelHandlerTensor(path, Linear)), outputs(module, values))


@pytest.fixture
def every_warning():
    """PyTorch says some things only once for each process."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.parametrize("arrow", [True, False])
def test_memory_that_must_not_be_written_to_is_taken_without_a_warning(saved, every_warning, arrow):
    path, module = saved(Linear)
    values = matrix()
    wanted = outputs(module, values)
    if arrow:
        (block,) = pa.table({"vector": pa.array(values.tolist(), pa.list_(pa.float32(), 3))}).to_batches()
    else:
        block = values
        block.flags.writeable = False
    handler = PytorchModelHandlerTensor(path, Linear)
    assert_close(handler.run_inference_on_block(block, handler.load_model()), wanted)


class Doubling(Same):
    """Writes into its input."""

    def forward(self, x):
        return x.mul_(2)


@pytest.mark.parametrize("size", [1, 6])
def test_a_table_is_never_changed(saved, size):
    path, _ = saved(Doubling)
    values = matrix(size)
    before = values.copy()
    (batch,) = infer_table(values, PytorchModelHandlerTensor(path, Doubling))
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(np.array(batch.column("features").to_pylist(), np.float32), before)


def test_a_column_of_lists_is_never_changed(saved):
    path, _ = saved(Doubling)
    values = matrix()
    source = pa.table({"vector": pa.array(values.tolist(), pa.list_(pa.float32(), 3))})
    assert_close(run(source, PytorchModelHandlerTensor(path, Doubling)), values * 2)
    assert_close(source.column("vector").to_pylist(), values)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.sum(1), lambda row: float(row.sum())),
        (lambda x: x.argmax(1), lambda row: int(row.argmax())),
        (lambda x: x > 0, lambda row: (row > 0).tolist()),
        (lambda x: x.half(), lambda row: row.half().float().tolist()),
        (lambda x: {"a": x, "b": x.sum(1)}, lambda row: {"a": row.tolist(), "b": float(row.sum())}),
        (lambda x: [str(float(row[0])) for row in x], lambda row: str(float(row[0]))),
        (lambda x: list(x), lambda row: row.tolist()),
    ],
)
def test_outputs_of_every_form_become_a_column(saved, function, expected):
    class Made(Same):
        def forward(self, x):
            return function(x)

    path, _ = saved(Made)
    values = matrix()
    found = run(values, PytorchModelHandlerTensor(path, Made))
    for one, row in zip(found, torch.from_numpy(values), strict=True):
        other = expected(row)
        if isinstance(other, dict):
            assert_close(one["a"], other["a"])
            assert_close(one["b"], other["b"])
        elif isinstance(other, str):
            assert one == other
        else:
            assert_close(one, other)


def stacked(batch, model, device, inference_args=None, model_id=None):
    return model(torch.stack(list(batch)))


@pytest.mark.parametrize(
    "dtype",
    [
        np.float32,
        pytest.param(
            np.float64,
        ),
    ],
)
def test_a_function_of_ones_own_takes_tables(saved, dtype):
    path, module = saved(Linear)
    values = matrix(dtype=dtype)
    found = run(values, PytorchModelHandlerTensor(path, Linear, inference_fn=stacked))
    assert_close(found, outputs(module, values))


def test_rows_by_name_take_columns_by_name(saved):
    class Sum(Same):
        def forward(self, a, b):
            return {"sum": a + b, "both": torch.stack([a, b], 1)}

    path, _ = saved(Sum)
    source = pa.table({"a": [1.0, 2.0, 3.0], "b": [1, None, 3]})
    failures = []
    found = run(source, PytorchModelHandlerKeyedTensor(path, Sum), on_failure=failures.append)
    assert found == [{"sum": 2.0, "both": [1.0, 1.0]}, {"sum": 6.0, "both": [3.0, 3.0]}]
    assert [failure.index for failure in failures] == [1]
    assert "input 'b' must be tensors" in failures[0].message


def test_columns_of_lists_by_name_are_vectors(saved):
    path, module = saved(KeyedLinear)
    a, b = matrix(), matrix()[:, :2]
    source = pa.table({"a": a.tolist(), "b": b.tolist()})
    found = run(source, PytorchModelHandlerKeyedTensor(path, KeyedLinear, output_fn=lambda y, _: y["sum"]))
    with torch.no_grad():
        wanted = module(torch.from_numpy(a), torch.from_numpy(b))["sum"].tolist()
    assert_close(found, wanted)


def test_steps_before_the_model_take_rows(saved):
    path, module = saved(Linear)
    values = matrix()
    handler = PytorchModelHandlerTensor(path, Linear).with_preprocess_fn(lambda row: row * 2)
    assert_close(run(values, handler), outputs(module, values * 2))


def test_arguments_reach_the_model(saved):
    path, module = saved(Linear)
    values = matrix()
    found = run(values, PytorchModelHandlerTensor(path, Linear), inference_args={"scale": 2.0})
    assert_close(found, np.array(outputs(module, values)) * 2)


def test_lists_of_several_lengths_are_padded(saved):
    path, _ = saved(Same)
    source = pa.table({"tokens": [[1, 2], [3], [4, 5, 6]]})
    found = run(source, PytorchModelHandlerTensor(path, Same, padding=0))
    assert found == [[1, 2], [3], [4, 5, 6]]


def test_an_empty_table_has_no_predictions(saved):
    path, _ = saved(Linear)
    assert list(infer_table(matrix(0), PytorchModelHandlerTensor(path, Linear))) == []
