"""Which thread does what, and that threads change nothing else."""

import threading

import pytest

from runinference import ConfigurationError, Metrics, infer
from runinference.testing.fakes import CountingHandler, SleepingHandler

pytestmark = pytest.mark.core


def with_steps(handler, note):
    def before(row):
        note("preprocess")
        return row + 1

    def after(result):
        note("postprocess")
        return result.inference

    return handler.with_preprocess_fn(before).with_postprocess_fn(after)


def test_without_workers_everything_happens_in_the_callers_thread():
    threads = {}

    def note(stage):
        threads.setdefault(stage, set()).add(threading.get_ident())

    def source():
        try:
            for row in range(100):
                note("source")
                yield row
        finally:
            note("source closed")

    class Noted(CountingHandler):
        def load_model(self):
            note("load")
            return super().load_model()

        def before(self, batch):
            note("inference")

    results = list(infer(source(), with_steps(Noted(), note), workers=0))
    assert results == [2 * (row + 1) for row in range(100)]
    assert set(threads) == {"source", "source closed", "load", "preprocess", "inference", "postprocess"}
    assert all(idents == {threading.get_ident()} for idents in threads.values())


def test_without_workers_no_thread_is_started():
    before = threading.enumerate()
    for _ in infer(iter(range(100)), with_steps(CountingHandler(), lambda stage: None), workers=0):
        assert threading.enumerate() == before


def test_with_workers_the_steps_run_elsewhere_and_the_model_in_one_thread():
    threads = {}
    handler = with_steps(
        SleepingHandler(0.001, min_batch_size=10, max_batch_size=10),
        lambda stage: threads.setdefault(stage, set()).add(threading.get_ident()),
    )
    results = list(infer(range(200), handler, workers=2))
    assert results == [2 * (row + 1) for row in range(200)]
    assert threading.get_ident() not in threads["preprocess"] | threads["postprocess"]
    assert len(threads["preprocess"] | threads["postprocess"]) <= 2
    assert len(set(handler.log.threads)) == 1
    assert threading.get_ident() not in handler.log.threads


@pytest.mark.parametrize("workers", [0, 1, 2, 5, None])
@pytest.mark.parametrize("kind", [list, iter])
def test_the_results_do_not_depend_on_the_workers(workers, kind):
    handler = with_steps(SleepingHandler(0.0005, max_batch_size=32), lambda stage: None)
    results = list(infer(kind(list(range(1000))), handler, workers=workers))
    assert results == [2 * (row + 1) for row in range(1000)]


def test_the_metrics_say_whether_threads_were_used():
    for workers, mode in [(0, "inline"), (2, "overlapped")]:
        metrics = Metrics()
        list(infer(range(10), CountingHandler(), workers=workers, metrics=metrics))
        assert metrics.snapshot()["execution_mode"] == mode


def test_slow_steps_make_the_engine_use_threads_by_itself():
    class SlowBefore(SleepingHandler):
        pass

    def sleep(row):
        threading.Event().wait(0.002)
        return row

    metrics = Metrics()
    handler = SlowBefore(0.02, min_batch_size=8, max_batch_size=8).with_preprocess_fn(sleep)
    assert len(list(infer(range(400), handler, metrics=metrics))) == 400
    assert metrics.snapshot()["execution_mode"] == "overlapped"
    assert len(set(handler.log.threads)) == 2  # The caller's first, then that of the model.


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "2"])
def test_the_number_of_workers_must_be_a_whole_number(wrong):
    with pytest.raises(ConfigurationError, match="workers must be a whole number of at least 0"):
        infer([1], CountingHandler(), workers=wrong)
