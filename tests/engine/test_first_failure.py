"""Without `on_failure` the first row that fails ends the run, after all results before it."""

import pickle

import pytest

from runinference import InferenceError, Metrics, ModelHandler, infer
from runinference.keyed import KeyedModelHandler
from runinference.testing.fakes import CountingHandler, FailingHandler

pytestmark = pytest.mark.core


@pytest.mark.parametrize("workers", [0, 2, None])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_all_rows_before_the_failure_come_out(size, workers):
    handler = FailingHandler([40, 60], min_batch_size=size, max_batch_size=size)
    results = []
    with pytest.raises(InferenceError, match=r"Row 40 failed in inference: ValueError: bad row 40"):
        results.extend(result.example for result in infer(range(100), handler, workers=workers))
    assert results == list(range(40))


@pytest.mark.parametrize("stage", ["preprocess", "postprocess"])
def test_a_failing_step_ends_the_run_at_its_row(stage):
    def step(value):
        if getattr(value, "example", value) == 10:
            raise KeyError("ten")
        return value

    handler = CountingHandler(min_batch_size=4, max_batch_size=4)
    handler = handler.with_preprocess_fn(step) if stage == "preprocess" else handler.with_postprocess_fn(step)
    results = []
    with pytest.raises(InferenceError, match=f"Row 10 failed in {stage}: KeyError: 'ten'"):
        results.extend(result.example for result in infer(range(30), handler))
    assert results == list(range(10))


def test_the_cause_is_the_exception_itself_and_starts_in_the_users_code():
    cause = ValueError("mine")

    class Raises(ModelHandler):
        def load_model(self):
            return None

        def run_inference(self, batch, model, inference_args=None):
            raise cause

    with pytest.raises(InferenceError) as raised:
        list(infer([1], Raises()))
    assert raised.value.__cause__ is cause
    assert cause.__traceback__.tb_frame.f_code.co_name == "run_inference"
    assert raised.value.failure.index == 0


def test_the_key_is_in_the_message():
    with pytest.raises(InferenceError, match=r"Row 1 \(key 'b'\) failed"):
        list(infer([("a", 1), ("b", 2)], KeyedModelHandler(FailingHandler([2]))))


def test_the_error_pickles():
    with pytest.raises(InferenceError) as raised:
        list(infer([1], FailingHandler([1])))
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.failure.index) == (str(raised.value), 0)


def test_no_row_behind_the_failure_is_looked_for():
    handler = FailingHandler([0], min_batch_size=256, max_batch_size=256)
    with pytest.raises(InferenceError):
        list(infer(range(256), handler))
    assert handler.log.calls == 9


def test_rows_that_were_not_run_are_not_counted():
    metrics = Metrics()
    with pytest.raises(InferenceError):
        list(infer(range(64), FailingHandler([3], min_batch_size=64, max_batch_size=64), metrics=metrics))
    assert metrics.snapshot()["num_inferences"] == 3
