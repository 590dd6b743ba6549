"""Single rows from many threads, answered in common batches."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from runinference import Engine, EngineClosedError, InferenceError, ModelLoadError
from runinference.engine.inbox import Inbox
from runinference.testing.fakes import CountingHandler, FailingHandler, SleepingHandler

pytestmark = pytest.mark.core


def test_sixteen_threads_share_batches_and_get_their_own_results():
    handler = SleepingHandler(0.002)
    with Engine(handler) as engine, ThreadPoolExecutor(16) as callers:
        rows = range(3200)
        results = list(callers.map(lambda row: engine.submit(row).result(30), rows))
    assert [(result.example, result.inference) for result in results] == [(row, 2 * row) for row in rows]
    assert len(rows) / handler.log.calls > 4
    assert handler.log.loads == 1


@pytest.mark.parametrize("workers", [0, 2, None])
def test_a_row_alone_is_answered(workers):
    with Engine(CountingHandler(), workers=workers) as engine:
        assert [engine.submit(row).result(10).inference for row in range(5)] == [0, 2, 4, 6, 8]


def test_a_failure_goes_to_its_caller_alone():
    with Engine(FailingHandler([7])) as engine:
        futures = [engine.submit(row) for row in range(20)]
        for row, future in enumerate(futures):
            if row == 7:
                with pytest.raises(InferenceError, match="ValueError: bad row 7"):
                    future.result(10)
            else:
                assert future.result(10).inference == 2 * row


@pytest.mark.parametrize("workers", [0, None])
def test_steps_apply_and_their_failures_go_to_the_caller(workers):
    handler = CountingHandler().with_preprocess_fn(lambda row: 10 // row).with_postprocess_fn(lambda r: r.inference)
    with Engine(handler, workers=workers) as engine:
        assert engine.submit(5).result(10) == 4
        with pytest.raises(InferenceError, match="failed in preprocess: ZeroDivisionError"):
            engine.submit(0).result(10)


def test_closing_answers_what_was_submitted():
    engine = Engine(SleepingHandler(0.01, max_batch_size=4))
    futures = [engine.submit(row) for row in range(50)]
    engine.close()
    assert [future.result(0).example for future in futures] == list(range(50))
    with pytest.raises(EngineClosedError):
        engine.submit(1)


class LoadsWhenAllowed(CountingHandler):
    def __init__(self):
        super().__init__()
        self.asked, self.allowed, self.works = threading.Event(), threading.Event(), False

    def load_model(self):
        self.asked.set()
        self.allowed.wait(30)
        if not self.works:
            raise OSError("no such share")
        return super().load_model()


def test_a_failed_load_reaches_all_who_wait_and_the_next_try_may_work():
    handler = LoadsWhenAllowed()
    with Engine(handler) as engine:
        futures = [engine.submit(row) for row in range(10)]
        handler.allowed.set()
        for future in futures:
            with pytest.raises(
                ModelLoadError, match="LoadsWhenAllowed could not load its model: OSError: no such share"
            ):
                future.result(10)
        handler.works = True
        for thread in threading.enumerate():  # Until the failed service is gone.
            if thread.name == "runinference-submit":
                thread.join(10)
        assert engine.submit(4).result(10).inference == 8


def test_trying_to_cancel_a_row_does_not_disturb_the_others():
    handler = LoadsWhenAllowed()
    handler.works = True
    with Engine(handler) as engine:
        futures = submit_while_loading(engine, handler)
        taken_back = futures[2].cancel()
        handler.allowed.set()
        answered = [future.result(10).example for future in futures if not future.cancelled()]
        assert answered == ([0, 1, 3, 4] if taken_back else [0, 1, 2, 3, 4])


def submit_while_loading(engine, handler):
    """Five rows, of which all but the first still wait in the inbox."""
    first = engine.submit(0)
    assert handler.asked.wait(10)
    return [first, *(engine.submit(row) for row in range(1, 5))]


def test_trying_to_cancel_a_row_does_not_keep_a_failure_from_anybody():
    handler = LoadsWhenAllowed()
    with Engine(handler) as engine:
        futures = submit_while_loading(engine, handler)
        futures[2].cancel()
        handler.allowed.set()
        for future in futures:
            if not future.cancelled():
                with pytest.raises(ModelLoadError):
                    future.result(10)


def test_a_row_alone_is_answered_within_the_delay_of_the_handler():
    engine = Engine(CountingHandler(max_batch_duration_secs=0.02))
    future = engine.submit(1)
    try:
        assert future.result(2).inference == 2
    finally:
        engine.close()


def test_a_row_alone_is_answered_when_threads_prepare_it():
    engine = Engine(CountingHandler().with_preprocess_fn(lambda row: row + 1), workers=2)
    future = engine.submit(1)
    try:
        assert future.result(2).inference == 4
    finally:
        engine.close()


def test_without_workers_a_failed_load_is_in_the_future_too():
    handler = LoadsWhenAllowed()
    handler.allowed.set()
    with Engine(handler, workers=0) as engine:
        future = engine.submit(1)
        with pytest.raises(ModelLoadError):
            future.result(10)


def test_a_full_inbox_makes_callers_wait_until_rows_are_answered():
    inbox = Inbox(capacity=2)
    inbox.add(1, Future())
    inbox.add(2, Future())
    waiting = threading.Thread(target=inbox.add, args=(3, Future()))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    inbox.answered(1)
    waiting.join(10)
    assert not waiting.is_alive()
    assert [row for row, _ in inbox.take(10, None)[0]] == [1, 2, 3]


def test_closing_a_full_inbox_wakes_those_who_wait(in_time):
    inbox = Inbox(capacity=1)
    inbox.add(1, Future())
    threading.Timer(0.1, inbox.close).start()
    with pytest.raises(EngineClosedError):
        in_time(lambda: inbox.add(2, Future()), seconds=2)


def test_a_closed_inbox_gives_out_what_it_has():
    inbox = Inbox()
    inbox.add("last", Future())
    inbox.close()
    assert [row for row, _ in inbox.take(10, None)[0]] == ["last"]
    assert inbox.ended
    with pytest.raises(EngineClosedError, match="closed"):
        inbox.add("late", Future())
