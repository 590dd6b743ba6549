"""However a run ends, its threads end, its source is closed and its model released."""

import gc
import threading

import pytest

from runinference import Engine, EngineClosedError, infer
from runinference.testing.fakes import CountingHandler, SleepingHandler

WORKERS = [0, 2, None]


def released(handler):
    gc.collect()
    return [model() for model in handler.log.models] == [None]


class Watched:
    """A generator of rows that says when it was closed."""

    def __init__(self):
        self.closed = threading.Event()

    def __iter__(self):
        try:
            yield from range(1_000_000)
        finally:
            self.closed.set()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("end", ["close", "break", "drop"])
def test_a_consumer_may_stop_early(workers, end):
    source, handler = Watched(), CountingHandler(max_batch_size=64)
    results = infer(source, handler, workers=workers)
    for result in results:
        if result.example == 500:
            break
    if end == "close":
        results.close()
    del results
    assert source.closed.wait(10)
    assert released(handler)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_complete_run_releases_the_model(workers):
    source, handler = Watched(), CountingHandler()
    results = infer(range(100), handler, workers=workers)
    assert len(list(results)) == 100
    assert released(handler)
    assert not source.closed.is_set()


@pytest.mark.parametrize("workers", WORKERS)
def test_an_interrupt_in_the_model_ends_the_run(workers):
    class Interrupted(CountingHandler):
        def before(self, batch):
            if batch[0] >= 40:
                raise KeyboardInterrupt

    source, handler, results = Watched(), Interrupted(min_batch_size=8, max_batch_size=8), []
    failures = []
    with pytest.raises(KeyboardInterrupt):
        results.extend(r.example for r in infer(source, handler, workers=workers, on_failure=failures.append))
    assert results == list(range(40))
    assert failures == []
    assert source.closed.wait(10)


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_of_the_consumer_ends_the_run(workers):
    source, handler = Watched(), CountingHandler()

    def consume():
        for _ in infer(source, handler, workers=workers):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
    assert source.closed.wait(10)


def test_an_engine_keeps_its_model_between_runs():
    handler = CountingHandler()
    with Engine(handler) as engine:
        for _ in range(3):
            assert len(list(engine.map(range(10)))) == 10
        assert handler.log.loads == 1
        assert handler.log.models[0]() is not None
    assert released(handler)


def test_a_closed_engine_says_so():
    engine = Engine(CountingHandler())
    engine.close()
    with pytest.raises(EngineClosedError, match="closed; make a new one"):
        list(engine.map([1]))
    with pytest.raises(EngineClosedError, match="closed; make a new one"):
        engine.submit(1)


def test_closing_twice_is_fine():
    engine = Engine(CountingHandler())
    assert list(engine.map([])) == []
    engine.close()
    engine.close()
    assert engine.metrics()["num_inferences"] == 0


@pytest.mark.parametrize("workers", WORKERS)
def test_results_do_not_end_silently_when_the_engine_is_closed(workers):
    engine = Engine(CountingHandler(min_batch_size=4, max_batch_size=4), workers=workers)
    results = engine.map(range(1_000))
    next(results)
    engine.close()
    with pytest.raises(EngineClosedError):
        list(results)


def test_a_model_that_hangs_does_not_keep_the_caller():
    handler = SleepingHandler(hangs_on=[8], min_batch_size=4, max_batch_size=4)
    results = infer(range(1_000), handler, workers=1)
    assert [next(results).example for _ in range(4)] == [0, 1, 2, 3]
    results.close()
    handler.wake()
