"""The fakes keep the contract of handlers, and the contract can be kept."""

import pytest

from runinference.testing.fakes import CountingHandler, FailingHandler, MemoryCapHandler, SleepingHandler
from runinference.testing.handler_contract import HandlerContract

pytestmark = pytest.mark.core


class Doubles(HandlerContract):
    def examples(self, count):
        return [float(number) for number in range(count)]

    def expected(self, examples):
        return [2 * example for example in examples]

    def honoured_args(self):
        return {"factor": 3}, [0.0, 3.0, 6.0]

    def model_bytes(self):
        return 8


class TestCountingHandler(Doubles):
    def handler(self, **options):
        return CountingHandler(**options)


class TestFailingHandler(Doubles):
    def handler(self, **options):
        return FailingHandler(["bad"], **options)

    def bad_example(self):
        return "bad"


class TestMemoryCapHandler(Doubles):
    def handler(self, **options):
        return MemoryCapHandler(1000, **options)


def test_a_log_counts_calls_rows_and_loads():
    handler = CountingHandler()
    model = handler.load_model()
    handler.run_inference([1, 2], model)
    handler.run_inference([3], model)
    assert (handler.log.calls, handler.log.loads, handler.log.batch_sizes) == (2, 1, [2, 1])
    del model
    assert handler.log.models[0]() is None


def test_a_copy_shares_the_log():
    handler = CountingHandler()
    handler.with_postprocess_fn(str).load_model()
    assert handler.log.loads == 1


def test_bad_rows_fail_and_others_do_not():
    handler = FailingHandler(lambda row: row > 5, lambda row: KeyError(row))
    assert len(handler.run_inference([1, 5], handler.load_model())) == 2
    with pytest.raises(KeyError, match="6"):
        handler.run_inference([1, 6], handler.load_model())


def test_the_cap_is_a_number_of_rows():
    handler = MemoryCapHandler(2)
    assert len(handler.run_inference([1, 2], handler.load_model())) == 2
    with pytest.raises(MemoryError, match="3 rows do not fit"):
        handler.run_inference([1, 2, 3], handler.load_model())


def test_a_call_that_hangs_goes_on_when_woken():
    handler = SleepingHandler(hangs_on=[1])
    handler.wake()
    assert handler.run_inference([1], handler.load_model())[0].inference == 2
