"""One engine and one model for several callers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runinference import Engine
from runinference.testing.fakes import CountingHandler, SleepingHandler

pytestmark = pytest.mark.core


@pytest.mark.parametrize("workers", [0, 2, None])
def test_two_threads_map_at_once_and_get_their_own_rows(workers):
    handler = SleepingHandler(0.0005, max_batch_size=16)
    with Engine(handler, workers=workers) as engine, ThreadPoolExecutor(2) as callers:
        starts = [0, 10_000]
        found = list(callers.map(lambda start: [r.example for r in engine.map(range(start, start + 500))], starts))
        assert engine.metrics()["num_inferences"] == 1000
    assert found == [list(range(start, start + 500)) for start in starts]
    assert handler.log.loads == 1


def test_the_model_runs_one_batch_at_a_time():
    class OneAtATime(CountingHandler):
        running, most = 0, 0
        lock = threading.Lock()

        def before(self, batch):
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            threading.Event().wait(0.001)
            with self.lock:
                self.running -= 1

    handler = OneAtATime(max_batch_size=4)
    with Engine(handler) as engine, ThreadPoolExecutor(4) as callers:
        assert list(callers.map(lambda _: len(list(engine.map(range(100)))), range(4))) == [100] * 4
    assert handler.most == 1


def test_map_and_submit_work_side_by_side():
    with Engine(CountingHandler()) as engine:
        results = engine.map(range(100))
        assert next(results).example == 0
        assert engine.submit(7).result(10).inference == 14
        assert len(list(results)) == 99


def test_two_engines_of_one_handler_share_the_model():
    handler = CountingHandler()
    with Engine(handler) as one, Engine(handler) as other:
        assert len(list(one.map(range(5)))) == 5
        assert len(list(other.map(range(5)))) == 5
        assert handler.log.loads == 1
