"""A call that takes too long is left behind; only its row is set aside and the rest goes on."""

import time

import pytest

from runinference import Engine, InferenceTimeoutError, infer
from runinference.testing.fakes import SleepingHandler


@pytest.fixture
def hanging():
    """Makes handlers that hang on a row; their threads are let go at the end."""
    handlers = []

    def make(row, cls=SleepingHandler, **options):
        handlers.append(cls(hangs_on=[row], **options))
        return handlers[-1]

    yield make
    for handler in handlers:
        handler.wake()


@pytest.mark.parametrize("workers", [0, None, 2])
def test_only_the_row_that_hangs_is_set_aside(hanging, workers):
    failures = []
    handler = hanging(5, min_batch_size=8, max_batch_size=8)
    results = list(infer(range(24), handler, timeout_s=0.1, on_failure=failures.append, workers=workers))
    assert [result.example for result in results] == [row for row in range(24) if row != 5]
    assert [(failure.index, failure.stage) for failure in failures] == [(5, "inference")]
    assert failures[0].error_type == "runinference.errors.InferenceTimeoutError"
    assert "longer than timeout_s=0.1 s" in failures[0].message
    assert isinstance(failures[0].error, InferenceTimeoutError)


def test_what_hangs_keeps_its_model_and_the_rest_get_a_fresh_one(hanging):
    handler = hanging(5, min_batch_size=8, max_batch_size=8)
    list(infer(range(16), handler, timeout_s=0.1, on_failure=lambda failure: None))
    assert handler.log.loads >= 2


def test_a_model_that_hangs_is_not_shared_with_later_calls(hanging):
    handler = hanging(5, min_batch_size=8, max_batch_size=8)
    with Engine(handler) as other:
        assert len(list(other.map(range(2)))) == 2
        list(infer(range(16), handler, timeout_s=0.1, on_failure=lambda failure: None))
    assert handler.log.loads >= 2


def test_a_run_in_time_loads_once():
    handler = SleepingHandler(0.001)
    assert len(list(infer(range(100), handler, timeout_s=30))) == 100
    assert handler.log.loads == 1


def test_rows_that_are_only_slow_together_are_all_answered():
    class PerRow(SleepingHandler):
        def before(self, batch):
            time.sleep(0.02 * len(batch))

    handler = PerRow(min_batch_size=32, max_batch_size=32)
    results = list(infer(range(32), handler, timeout_s=0.4))
    assert [result.example for result in results] == list(range(32))


def test_a_timeout_error_of_the_model_itself_is_not_taken_for_ours():
    class Refuses(SleepingHandler):
        def before(self, batch):
            raise TimeoutError("the service did not answer")

    failures = []
    list(infer([1], Refuses(), timeout_s=30, on_failure=failures.append))
    assert (failures[0].error_type, failures[0].message) == ("TimeoutError", "the service did not answer")


def test_loading_again_is_not_part_of_the_time_of_a_call(hanging, in_time):
    class LoadsSlowly(SleepingHandler):
        def load_model(self):
            time.sleep(0.4)
            return super().load_model()

    failures = []
    handler = hanging(3, LoadsSlowly, min_batch_size=4, max_batch_size=4)
    in_time(lambda: list(infer(range(4), handler, timeout_s=0.2, on_failure=failures.append)))
    assert [failure.index for failure in failures] == [3]


@pytest.mark.parametrize("wrong", [0, -1, "1"])
def test_the_time_must_be_seconds(wrong):
    with pytest.raises(ValueError, match="timeout_s must be seconds above 0, got"):
        Engine(SleepingHandler(), timeout_s=wrong)
