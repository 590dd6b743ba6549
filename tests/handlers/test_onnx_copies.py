"""Several copies of an ONNX model at the same time, each with its part of the cores."""

import threading

import numpy as np
import onnx_models as models
import onnxruntime
import pytest

from runinference import OnnxModelHandlerNumpy, infer


@pytest.fixture
def path(tmp_path):
    return models.linear(tmp_path / "model.onnx")


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr("runinference.handlers.copies.available_cores", lambda: 8)


def rows(count, seed):
    return list(np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32))


def options(**attributes):
    made = onnxruntime.SessionOptions()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def test_two_copies_run_at_the_same_time(path, side_by_side):
    batches = [rows(7, 0), rows(4, 1)]
    for batch, rounds in zip(batches, side_by_side(OnnxModelHandlerNumpy(path), batches), strict=True):
        for found in rounds:
            np.testing.assert_allclose(found, np.array(batch) @ models.WEIGHTS, rtol=1e-5)


def test_two_copies_may_have_arguments_of_their_own(tmp_path, side_by_side):
    handler = OnnxModelHandlerNumpy(models.shifted(tmp_path / "model.onnx"))
    found = side_by_side(handler, [rows(3, 0), rows(3, 0)], [{"shift": 1.0}, {"shift": -2.0}])
    for shift, rounds in zip((1, -2), found, strict=True):
        for each in rounds:
            np.testing.assert_allclose(each, np.array(rows(3, 0)) + shift, rtol=1e-5)


def test_an_engine_with_two_copies_predicts_what_one_does(path):
    found = [result.inference for result in infer(rows(300, 0), OnnxModelHandlerNumpy(path, model_copies=2))]
    np.testing.assert_allclose(found, np.array(rows(300, 0)) @ models.WEIGHTS, rtol=1e-5)


@pytest.mark.parametrize(("copies", "threads"), [(2, 4), (3, 2), (16, 1)])
@pytest.mark.parametrize("given", [None, {"graph_optimization_level": "ORT_DISABLE_ALL"}, options, options()])
def test_copies_share_the_cores(path, given, copies, threads):
    session = OnnxModelHandlerNumpy(path, given).for_copy(copies - 1, copies).load_model()
    assert session.get_session_options().intra_op_num_threads == threads


@pytest.mark.parametrize(
    "given",
    [{"intra_op_num_threads": 3}, lambda: options(intra_op_num_threads=3), options(intra_op_num_threads=3)],
    ids=["dict", "function", "object"],
)
def test_a_number_of_threads_that_was_asked_for_is_that_of_each_copy(path, given):
    session = OnnxModelHandlerNumpy(path, given).for_copy(0, 2).load_model()
    assert session.get_session_options().intra_op_num_threads == 3


def test_a_single_model_has_the_threads_of_onnxruntime(path):
    assert OnnxModelHandlerNumpy(path).load_model().get_session_options().intra_op_num_threads == 0


def test_options_of_the_caller_are_left_as_they_were(path):
    given = options()
    handler = OnnxModelHandlerNumpy(path, given)
    found, together = [], threading.Barrier(4)

    def load(number):
        together.wait(30)
        session = handler.for_copy(number, 4).load_model()
        found.append(session.get_session_options().intra_op_num_threads)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 4
    assert given.intra_op_num_threads == 0


def test_a_model_that_cannot_be_opened_leaves_the_options_of_the_caller_as_they_were(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    given = options()
    with pytest.raises(Exception, match="cannot be loaded as an ONNX model"):
        OnnxModelHandlerNumpy(str(tmp_path / "broken.onnx"), given).for_copy(0, 2).load_model()
    assert given.intra_op_num_threads == 0
