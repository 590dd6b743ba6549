"""What may succeed when it is tried again is tried again, and nothing else."""

import pytest

from runinference import InferenceError, Metrics, TransientError, infer
from runinference.batching import Rows
from runinference.engine.isolate import Isolator
from runinference.errors import InferenceTimeoutError, is_out_of_memory, is_transient
from runinference.testing.fakes import FailingHandler, MemoryCapHandler

pytestmark = pytest.mark.core


class Flaky:
    """Fails the first `times` calls."""

    def __init__(self, times, error):
        self.calls, self.times, self.error = 0, times, error

    def __call__(self, rows):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return rows.data


class OverloadedError(TransientError, RuntimeError):
    pass


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), OverloadedError()])
def test_a_transient_error_is_tried_again_as_a_whole_batch(error):
    call, pauses = Flaky(2, error), []
    found = Isolator(call, 3, pauses.append).run(Rows([1, 2, 3], range(3)))
    assert (call.calls, found.calls, found.retried, found.failed) == (3, 3, True, [])
    assert len(pauses) == 2
    assert pauses[0] < pauses[1]


@pytest.mark.parametrize("error", [ValueError(), OSError("disk"), InferenceTimeoutError()])
def test_any_other_error_is_not_tried_again(error):
    call, pauses = Flaky(1, error), []
    found = Isolator(call, 3, pauses.append).run(Rows([1], range(1)))
    assert (call.calls, len(found.failed), found.retried, pauses) == (1, 1, False, [])


def test_without_retries_a_transient_error_is_final():
    call = Flaky(1, ConnectionError())
    assert len(Isolator(call, 0, lambda seconds: None).run(Rows([1], range(1))).failed) == 1
    assert call.calls == 1


def test_attempts_are_counted():
    failures = []
    handler = FailingHandler([1], lambda row: ConnectionError("lost"))
    list(infer([1], handler, retries=2, on_failure=failures.append))
    assert (failures[0].attempts, handler.log.calls) == (3, 3)


def test_a_row_that_stays_down_does_not_take_its_batch_along():
    failures, metrics = [], Metrics()
    handler = FailingHandler([5], lambda row: ConnectionError("lost"), min_batch_size=8, max_batch_size=8)
    results = list(infer(range(8), handler, retries=1, on_failure=failures.append, metrics=metrics))
    assert [result.example for result in results] == [0, 1, 2, 3, 4, 6, 7]
    assert [(failure.index, failure.attempts) for failure in failures] == [(5, 2)]
    assert metrics.snapshot()["retried_batches"] == 1


def test_out_of_memory_halves_the_batch_and_goes_on():
    metrics = Metrics()
    handler = MemoryCapHandler(10, min_batch_size=64, max_batch_size=64)
    results = list(infer(range(1000), handler, metrics=metrics))
    assert [result.example for result in results] == list(range(1000))
    assert 1 <= metrics.snapshot()["out_of_memory_batches"] <= 8
    assert max(handler.log.batch_sizes[-10:]) <= 10


@pytest.mark.parametrize("cap", [100, 37, 1])
def test_a_hidden_memory_cap_loses_no_row(cap):
    metrics = Metrics()
    handler = MemoryCapHandler(cap, seconds=0.0005)
    count = min(20_000, 100 * cap)
    assert [result.example for result in infer(range(count), handler, metrics=metrics)] == list(range(count))
    assert metrics.snapshot()["out_of_memory_batches"] <= 10
    assert 0.9 * cap <= metrics.snapshot()["tuned_batch_size"] <= cap


def test_a_memory_cap_that_moves_loses_no_row():
    handler = MemoryCapHandler(100)
    results = []
    for result in infer(range(6_000), handler):
        results.append(result.example)
        handler.cap = {2_000: 7, 4_000: 300}.get(result.example, handler.cap)
    assert results == list(range(6_000))


def test_a_row_that_never_fits_is_one_failure():
    failures = []
    handler = FailingHandler([5], lambda row: MemoryError("too large"), min_batch_size=8, max_batch_size=8)
    results = list(infer(range(16), handler, on_failure=failures.append))
    assert len(results) == 15
    assert [(failure.index, failure.error_type) for failure in failures] == [(5, "MemoryError")]


def test_the_smallest_part_that_did_not_fit_is_told():
    def call(rows):
        if len(rows) > 3:
            raise MemoryError
        return rows.data

    found = Isolator(call, 0, lambda seconds: None).run(Rows(list(range(9)), range(9)))
    assert len(found.out_of_memory) == 4


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not is_out_of_memory(RuntimeError("something else"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_call_that_exceeded_its_time_is_not_transient():
    assert not is_transient(InferenceTimeoutError())
    assert is_transient(TimeoutError())


def test_retries_must_be_a_number():
    with pytest.raises(ValueError, match="retries must be a whole number of at least 0, got -1"):
        infer([1], FailingHandler([]), retries=-1)


def test_retries_end_with_the_error_itself():
    with pytest.raises(InferenceError, match="ConnectionError: lost") as raised:
        list(infer([1], FailingHandler([1], lambda row: ConnectionError("lost")), retries=1))
    assert isinstance(raised.value.__cause__, ConnectionError)
