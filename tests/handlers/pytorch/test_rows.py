"""What may be a row, and what is set aside."""

import numpy as np
import pytest
import torch

from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor, infer

from .models import KeyedLinear, Linear, Same


def run(handler, rows):
    failures = []
    results = [result.inference for result in infer(rows, handler, on_failure=failures.append)]
    return results, failures


def expected(module, rows):
    with torch.no_grad():
        return list(module(torch.stack([torch.as_tensor(np.asarray(row, np.float32).copy()) for row in rows])))


BASE = np.arange(24, dtype=np.float32).reshape(4, 6) / 10


def unwritable():
    array = BASE[0, :3].copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "row",
    [
        torch.tensor([0.5, 1.0, 2.0]),
        torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64),
        torch.tensor([0.5, 1.0, 2.0], dtype=torch.float16),
        torch.arange(6.0)[::2],
        BASE[1, ::2],
        BASE[:3, 1],
        np.asfortranarray(BASE)[0, :3],
        unwritable(),
        [0.5, 1.0, 2.0],
        (0.5, 1.0, 2.0),
        [1.0, 2, 3],
        [np.float32(1), np.float64(2), 3.0],
        pytest.param(BASE[0, 2::-1]),
        pytest.param(
            BASE[0, :3].astype(">f4"),
        ),
    ],
    ids=lambda row: f"{type(row).__name__}-{getattr(row, 'dtype', '')}",
)
def test_numbers_of_every_kind_are_a_row(saved, row):
    path, module = saved(Linear)
    results, failures = run(PytorchModelHandlerTensor(path, Linear), [row])
    assert failures == []
    torch.testing.assert_close(results, expected(module, [row]), rtol=1e-4, atol=1e-4)


def test_a_list_of_arrays_is_a_row(saved):
    path, _ = saved(Same)
    results, failures = run(PytorchModelHandlerTensor(path, Same), [[BASE[0], BASE[1]]])
    assert failures == []
    torch.testing.assert_close(results[0], torch.from_numpy(BASE[:2]))


@pytest.mark.parametrize(
    "row",
    [torch.tensor(3.0), np.float32(3.0), np.float64(3.0), 3.0, torch.tensor(3), 3, np.int16(3), True, np.bool_(True)],
    ids=lambda row: type(row).__name__,
)
def test_single_numbers_are_rows(saved, row):
    path, _ = saved(Same)
    results, failures = run(PytorchModelHandlerTensor(path, Same), [row] * 3)
    assert failures == []
    assert [result.item() for result in results] == [row] * 3
    assert all(result.shape == () for result in results)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_keep_their_type(saved, dtype):
    path, _ = saved(Same)
    rows = [torch.tensor([1, 0, number % 2]).to(dtype) for number in range(5)]
    results, _ = run(PytorchModelHandlerTensor(path, Same), rows)
    assert {result.dtype for result in results} == {dtype}
    torch.testing.assert_close(results, rows)


def test_large_token_ids_are_exact(saved):
    path, _ = saved(Same)
    rows = [np.array([2**24 + 1, 2**53 + 1])]
    results, _ = run(PytorchModelHandlerTensor(path, Same), rows)
    assert results[0].tolist() == [2**24 + 1, 2**53 + 1]


def test_rows_that_need_gradients_give_results_that_do_not(saved):
    path, module = saved(Linear)
    row = torch.rand(3, requires_grad=True)
    results, _ = run(PytorchModelHandlerTensor(path, Linear), [row])
    assert not results[0].requires_grad
    torch.testing.assert_close(results, expected(module, [row.detach()]))


def test_a_row_that_needs_gradients_and_comes_back_does_not(saved):
    path, _ = saved(Same)
    results, _ = run(PytorchModelHandlerTensor(path, Same), [torch.rand(3, requires_grad=True)])
    assert not results[0].requires_grad


def test_a_row_is_never_changed_and_never_shared(saved):
    class InPlace(Same):
        def forward(self, x):
            return x.mul_(2)

    path, _ = saved(InPlace)
    rows = [np.ones(3, np.float32), torch.ones(3)]
    for row in rows:
        results, _ = run(PytorchModelHandlerTensor(path, InPlace), [row])
        assert results[0].tolist() == [2, 2, 2]
        assert row.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("text", "The rows must be tensors, arrays or lists of numbers, got str"),
        (b"bytes", "got bytes"),
        (None, "got NoneType"),
        (object(), "got object"),
        (["a", "b", "c"], "got list"),
        ([[1.0, 2.0], [3.0]], "got list"),
        (np.array(["a", "b", "c"]), "got ndarray"),
        (np.array([None, 1, 2]), "got ndarray"),
        (np.array(["2020-01-01"], "datetime64[D]"), "got ndarray"),
        (torch.zeros(4), "mat1 and mat2 shapes cannot be multiplied"),
        (torch.zeros(0), "mat1 and mat2 shapes cannot be multiplied"),
        (torch.tensor([1, 2, 3]), "must have the same dtype"),
        ({"y": torch.zeros(3)}, "unexpected keyword argument 'y'"),
    ],
    ids=str,
)
def test_only_the_row_that_is_wrong_is_set_aside(saved, bad, message):
    path, module = saved(Linear)
    rows = [torch.rand(3) for _ in range(6)]
    handler = PytorchModelHandlerTensor(path, Linear, min_batch_size=7, max_batch_size=7)
    results, failures = run(handler, [*rows[:3], bad, *rows[3:]])
    assert [failure.index for failure in failures] == [3]
    assert message in failures[0].message
    torch.testing.assert_close(results, expected(module, rows))


def test_the_place_of_a_bad_row_does_not_matter(saved):
    path, module = saved(Linear)
    good = [torch.rand(3) for _ in range(4)]
    for place in range(5):
        rows = [*good[:place], "text", *good[place:]]
        results, failures = run(PytorchModelHandlerTensor(path, Linear), rows)
        assert [failure.index for failure in failures] == [place]
        torch.testing.assert_close(results, expected(module, good))


def test_rows_of_several_types_are_all_predicted(saved):
    path, _ = saved(Same)
    rows = [torch.tensor([1, 2]), torch.tensor([0.5, 2]), torch.tensor([3, 4]), np.array([1.5, 2]), [True, False]]
    results, failures = run(PytorchModelHandlerTensor(path, Same, min_batch_size=5, max_batch_size=5), rows)
    assert failures == []
    assert [result.tolist() for result in results] == [[1, 2], [0.5, 2], [3, 4], [1.5, 2], [True, False]]
    assert [result.is_floating_point() for result in results] == [False, True, False, True, False]


def test_nan_and_infinity_pass_through(saved):
    path, _ = saved(Same)
    rows = [torch.tensor([float("nan"), 1.0]), torch.tensor([float("inf"), -float("inf")])]
    results, failures = run(PytorchModelHandlerTensor(path, Same), rows)
    assert failures == []
    torch.testing.assert_close(results, rows, equal_nan=True)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"a": torch.zeros(3)}, "same inputs, got a, b and a"),
        ({"a": torch.zeros(3), "c": torch.zeros(2)}, "same inputs, got a, b and a, c"),
        ({"a": torch.zeros(3), "b": "text"}, "input 'b' must be tensors, arrays or lists of numbers, got str"),
        ({"a": torch.zeros(3), "b": None}, "input 'b' must be tensors.*got NoneType"),
        (torch.zeros(3), "same inputs, got a, b and Tensor"),
        (None, "same inputs, got a, b and NoneType"),
    ],
    ids=str,
)
def test_a_row_with_other_names_is_set_aside_alone(saved, bad, message):
    path, _ = saved(KeyedLinear)
    rows = [{"a": torch.rand(3), "b": torch.rand(2)} for _ in range(6)]
    handler = PytorchModelHandlerKeyedTensor(path, KeyedLinear, min_batch_size=7, max_batch_size=7)
    results, failures = run(handler, [*rows[:3], bad, *rows[3:]])
    assert [failure.index for failure in failures] == [3]
    assert len(results) == 6


def test_the_order_of_names_does_not_matter(saved):
    path, module = saved(KeyedLinear)
    rows = [{"a": torch.rand(3), "b": torch.rand(2)} for _ in range(4)]
    turned = [dict(reversed(row.items())) if number % 2 else row for number, row in enumerate(rows)]
    results, _ = run(PytorchModelHandlerKeyedTensor(path, KeyedLinear), turned)
    with torch.no_grad():
        wanted = module(torch.stack([r["a"] for r in rows]), torch.stack([r["b"] for r in rows]))["sum"]
    torch.testing.assert_close(torch.stack([result["sum"] for result in results]), wanted)


def test_ten_thousand_rows_come_out_in_order(saved):
    path, module = saved(Linear)
    rows = list(torch.rand(10_000, 3))
    results, failures = run(PytorchModelHandlerTensor(path, Linear), rows)
    assert failures == []
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(results), module(torch.stack(rows)))


@pytest.mark.parametrize("kind", [torch.stack, list, np.stack])
def test_ready_made_batches_may_be_whole_tensors(saved, kind):
    path, module = saved(Linear)
    rows = [torch.rand(3) for _ in range(5)]
    batches = [kind([row.numpy() if kind is np.stack else row for row in part]) for part in (rows[:3], rows[3:])]
    results, _ = run(PytorchModelHandlerTensor(path, Linear).with_no_batching(), batches)
    torch.testing.assert_close(results, expected(module, rows))
