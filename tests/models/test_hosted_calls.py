"""What goes to a model in another process and comes back: values as they are, errors as they were."""

import threading

import hosted_calls as calls
import hosted_handlers as handlers
import numpy as np
import pytest
from hosted_world import ON_LINUX, a_world

from runinference import OutputCountError
from runinference.errors import ModelFaultError, is_out_of_memory, is_transient
from runinference.models.hosted import hosted_model

pytestmark = ON_LINUX


@pytest.fixture(scope="module")
def world():
    with pytest.MonkeyPatch.context() as monkeypatch, a_world(monkeypatch) as world:
        yield world


@pytest.fixture(scope="module")
def model(world):
    with hosted_model(handlers.Calls(), "model") as model:
        yield model


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10),
        np.arange(300_000.0).reshape(3, 100, 1000),
        np.asfortranarray(np.arange(200_000.0).reshape(400, 500)),
        np.arange(400_000)[::2],
        np.array(3.0),
        np.empty((0, 5), np.float32),
    ],
    ids=["small", "large", "fortran", "strided", "scalar", "empty"],
)
def test_arrays_come_back_equal_and_writable(model, array):
    (doubled,) = model.run_inference([calls.sums, array])
    np.testing.assert_array_equal(doubled, array * 2)
    assert doubled.dtype == array.dtype
    if array.ndim:
        doubled[...] = 0


def test_more_large_arrays_than_one_system_call_sends_come_back(model):
    arrays = [np.full(8192, n, np.int64) for n in range(1100)]
    doubled = model.run_inference([calls.sums, *arrays])
    assert [array[0] for array in doubled] == [2 * n for n in range(1100)]
    assert all((array == array[0]).all() for array in doubled)


def test_large_texts_and_bytes_come_back(model):
    value = ["ä" * 3_000_000, b"x" * 5_000_000]
    assert model.run_inference([calls.give, value]) == value


def test_results_hold_the_examples_that_were_given(world):
    rows = [np.arange(n, n + 3) for n in range(5)]
    with hosted_model(handlers.Results(), "model") as model:
        results = model.run_inference(rows)
    assert all(result.example is row for result, row in zip(results, rows, strict=True))
    assert [(result.inference, result.model_id) for result in results] == [(3 * n + 3, "summed") for n in range(5)]


def test_a_lazy_result_is_a_list(model):
    assert model.run_inference([calls.give_generator, 3]) == [0, 1, 2]


@pytest.mark.parametrize("value", [None, {"a": 1}, "text", b"bytes", 5], ids=repr)
def test_a_result_that_is_not_one_prediction_for_each_row_is_refused(model, value):
    with pytest.raises(OutputCountError, match=f"Calls returned {type(value).__name__} for a batch"):
        model.run_inference([calls.give, value])


def test_arguments_reach_the_model_and_stay_as_they_are(model):
    arguments = {"mapping": {"max_tokens": 5}}
    for _ in range(2):
        assert model.run_inference([calls.take], arguments) == [{"max_tokens": 5}]
    assert arguments == {"mapping": {"max_tokens": 5}}


def test_handlers_may_take_their_arguments_by_name_or_not_at_all(world):
    with hosted_model(handlers.KeywordOnly(), "model") as model:
        assert model.run_inference([1], {"a": 2}) == [{"a": 2}]
        assert model.run_inference([1]) == [None]
    with hosted_model(handlers.WithoutArguments(), "model") as model:
        assert model.run_inference([1]) == [1]
        with pytest.raises(TypeError, match="takes 3 positional arguments but 4 were given"):
            model.run_inference([1], {"a": 2})


@pytest.mark.parametrize(
    "error",
    [
        KeyError("layer.1"),
        FileNotFoundError(2, "No such file", "weights.bin"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        MemoryError("too many rows"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        ModelFaultError("all rows fail"),
        ConnectionResetError("by the vector database"),
        SystemExit(3),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_raised_as_they_were(model, error):
    with pytest.raises(type(error)) as raised:
        model.run_inference([calls.fail, error])
    found = raised.value
    assert (type(found), str(found), found.args) == (type(error), str(error), error.args)
    assert (is_out_of_memory(found), is_transient(found)) == (is_out_of_memory(error), is_transient(error))
    assert "in fail\n    raise error" in "".join(found.__notes__)
    assert model.run_inference([calls.give, [1]]) == [1]


def test_attributes_of_errors_arrive(model):
    with pytest.raises(FileNotFoundError) as raised:
        model.run_inference([calls.fail, FileNotFoundError(2, "No such file", "weights.bin")])
    assert (raised.value.errno, raised.value.filename) == (2, "weights.bin")


def test_an_error_that_cannot_be_made_again_from_its_arguments_arrives_too(model):
    with pytest.raises(calls.OddError, match="3 apples") as raised:
        model.run_inference([calls.fail_oddly])
    assert (str(raised.value), raised.value.number) == ("3 apples", 3)


def test_an_error_that_cannot_be_pickled_arrives_as_the_nearest_that_can(model):
    with pytest.raises(ConnectionError, match="locked") as raised:
        model.run_inference([calls.fail_locked])
    assert (type(raised.value), str(raised.value)) == (ConnectionError, "hosted_calls.LockedError: locked")
    assert is_transient(raised.value)
    assert "in fail_locked" in "".join(raised.value.__notes__)


def test_an_error_of_a_lazy_result_is_raised(model):
    with pytest.raises(ValueError, match="too late"):
        model.run_inference([calls.fail_late, 3])


def test_a_batch_that_cannot_be_pickled_says_so_and_harms_nobody(model):
    with pytest.raises(TypeError, match=r"The batch cannot be sent .* of Calls: .*cannot pickle '_thread.lock'"):
        model.run_inference([calls.give, threading.Lock()])
    assert model.run_inference([calls.give, [1]]) == [1]


def test_predictions_that_cannot_be_pickled_say_so_and_harm_nobody(model):
    with pytest.raises(TypeError, match=r"The predictions of Calls cannot be sent .*cannot pickle '_thread.lock'"):
        model.run_inference([calls.give_lock])
    assert model.run_inference([calls.give, [1]]) == [1]


def test_a_batch_that_only_the_caller_can_read_says_so_and_harms_nobody(model, monkeypatch):
    import sys
    import types

    module = types.ModuleType("only_here")
    exec("class Row: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(TypeError, match=r"The batch cannot be read .* No module named 'only_here'"):
        model.run_inference([calls.give, [module.Row()]])
    assert model.run_inference([calls.give, [1]]) == [1]
