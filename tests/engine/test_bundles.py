"""Rows that belong together, run in batches with those of other threads."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from runinference import Engine, EngineClosedError, InferenceError, ModelLoadError
from runinference.engine.bundle import Failed
from runinference.metrics import Journal
from runinference.testing.fakes import CountingHandler, FailingHandler, SleepingHandler

pytestmark = pytest.mark.core


class Row(NamedTuple):
    example: Any
    tag: Any
    result: Any


def rows_of(runs):
    return [
        Row(example, run.tag, result) for run in runs for example, result in zip(run.examples, run.results, strict=True)
    ]


def run(bundle, examples):
    """Adds rows and takes back what is done, as a bundle's thread does."""
    rows = []
    for example in examples:
        bundle.add(example, f"tag {example}")
        rows += rows_of(bundle.done())
    return [*rows, *rows_of(bundle.finish())]


class GatedHandler(CountingHandler):
    """Runs only while its gate is open, and tells when it has begun."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gate, self.begun = threading.Event(), threading.Event()

    def run_inference(self, batch, model, inference_args=None):
        self.begun.set()
        assert self.gate.wait(30)
        return super().run_inference(batch, model, inference_args)


@pytest.mark.parametrize("rows", [0, 1, 2, 1000])
def test_a_bundle_gets_its_results_in_order_with_their_tags(rows):
    with Engine(CountingHandler(max_batch_size=32)) as engine:
        done = run(engine.bundle(), range(rows))
    assert [(row.tag, row.result.example, row.result.inference) for row in done] == [
        (f"tag {row}", row, 2 * row) for row in range(rows)
    ]


def test_rows_with_one_tag_come_back_together_and_others_apart():
    with Engine(CountingHandler(min_batch_size=100, max_batch_size=100)) as engine:
        bundle = engine.bundle()
        for number in range(100):
            bundle.add(number, ["even", "odd"][number // 10 % 2])
        runs = list(bundle.finish())
    assert [run.tag for run in runs] == ["even", "odd"] * 5
    assert [len(run.results) for run in runs] == [len(run.examples) for run in runs] == [10] * 10


def test_the_batches_of_a_long_bundle_are_full():
    handler = SleepingHandler(0.001, min_batch_size=32, max_batch_size=32)
    with Engine(handler) as engine:
        run(engine.bundle(), range(3200))
    assert Counter(handler.log.batch_sizes).most_common(1)[0][0] == 32
    assert handler.log.calls < 120


def test_few_rows_are_under_way_however_many_a_bundle_has():
    handler = GatedHandler(min_batch_size=4, max_batch_size=4)
    added = []
    with Engine(handler) as engine:
        bundle = engine.bundle()

        def add_many():
            for row in range(500):
                bundle.add(row, row)
                added.append(row)

        thread = threading.Thread(target=add_many)
        thread.start()
        assert handler.begun.wait(10)
        thread.join(0.1)
        assert len(added) < 50
        handler.gate.set()
        thread.join(30)
        assert [row.result.example for row in rows_of(bundle.finish())] == list(range(500))


def test_single_row_bundles_of_many_threads_share_batches():
    handler = SleepingHandler(0.002)
    with Engine(handler) as engine, ThreadPoolExecutor(16) as threads:
        rows = range(1600)
        done = list(threads.map(lambda row: run(engine.bundle(), [row]), rows))
    assert [[each.result.inference for each in rows] for rows in done] == [[2 * row] for row in rows]
    assert len(rows) / handler.log.calls > 4


def test_large_and_small_bundles_at_once_get_their_own_results():
    with Engine(CountingHandler()) as engine, ThreadPoolExecutor(8) as threads:
        sizes = [1, 7, 1000, 3, 50, 1, 200, 5] * 4
        starts = [1000 * number for number in range(len(sizes))]
        done = list(threads.map(lambda s, n: run(engine.bundle(), range(s, s + n)), starts, sizes))
    for start, size, rows in zip(starts, sizes, done, strict=True):
        assert [row.result.inference for row in rows] == [2 * row for row in range(start, start + size)]


def test_rows_wait_for_a_full_batch_as_long_as_they_may():
    handler = CountingHandler(min_batch_size=4, max_batch_size=4, max_batch_duration_secs=60)
    with Engine(handler) as engine, ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda row: run(engine.bundle(), [row]), range(4)))
    assert [rows[0].result.inference for rows in done] == [0, 2, 4, 6]
    assert handler.log.batch_sizes == [4]


def test_a_bundle_in_a_hurry_waits_for_nobody(in_time):
    handler = CountingHandler(min_batch_size=100, max_batch_size=100, max_batch_duration_secs=600)
    with Engine(handler) as engine:
        bundle = engine.bundle()
        bundle.add(1, "only")
        assert [row.result.inference for row in in_time(lambda: rows_of(bundle.finish(hurry=True)))] == [2]


def test_rows_whose_time_is_up_run_in_a_bundle_that_stays_open(in_time):
    handler = GatedHandler(min_batch_size=1000, max_batch_size=1000, max_batch_duration_secs=0.05)
    handler.gate.set()
    with Engine(handler) as engine:
        bundle = engine.bundle()
        bundle.add(1, "only")
        assert handler.begun.wait(10)
        assert [row.result.inference for row in in_time(lambda: rows_of(bundle.finish()))] == [2]


def test_a_failure_belongs_to_its_row_alone():
    with Engine(FailingHandler([7]), on_failure=print) as engine:
        done = run(engine.bundle(), range(20))
    failed = [row for row in done if isinstance(row.result, Failed)]
    assert [(row.example, row.tag) for row in failed] == [(7, "tag 7")]
    assert isinstance(failed[0].result.error, InferenceError)
    assert failed[0].result.error.failure.example == 7
    assert [row.result.inference for row in done if row not in failed] == [2 * row for row in range(20) if row != 7]


def test_where_nobody_handles_failures_a_bundle_fails_as_a_whole_and_costs_no_more_calls():
    handler = FailingHandler(range(16), min_batch_size=16, max_batch_size=16, max_batch_duration_secs=60)
    with Engine(handler) as engine:
        done = run(engine.bundle(), range(16))
    assert [row.result.error.failure.message for row in done] == ["bad row 0"] * 16
    assert handler.log.calls == 1


def test_where_nobody_handles_failures_other_bundles_of_the_batch_have_their_results():
    handler = FailingHandler([3], min_batch_size=8, max_batch_size=8, max_batch_duration_secs=60)
    with Engine(handler) as engine, ThreadPoolExecutor(4) as threads:
        bundles = list(threads.map(lambda start: run(engine.bundle(), [start, start + 1]), [0, 2, 4, 6]))
    failed = [[isinstance(row.result, Failed) for row in rows] for rows in bundles]
    assert failed == [[False, False], [True, True], [False, False], [False, False]]
    assert handler.log.calls == 1 + 4


def test_rows_of_an_abandoned_bundle_are_not_run_any_more(in_time):
    handler = GatedHandler(min_batch_size=1, max_batch_size=1)
    with Engine(handler) as engine:
        bundle = engine.bundle()
        bundle.add("in the model", 0)
        assert handler.begun.wait(10)
        bundle.add("waiting", 1)
        bundle.abandon()
        after = engine.bundle()
        after.add("of the next bundle", 2)
        handler.gate.set()
        assert [row.result.example for row in in_time(lambda: rows_of(after.finish()))] == ["of the next bundle"]
    assert handler.log.calls == 2


class LoadsSecondTime(CountingHandler):
    tries = 0

    def load_model(self):
        type(self).tries += 1
        if self.tries == 1:
            raise OSError("the disk is not there")
        return super().load_model()


def test_a_model_that_cannot_be_loaded_is_told_to_the_bundle_and_tried_again_for_the_next():
    with Engine(LoadsSecondTime()) as engine:
        rows = run(engine.bundle(), [1])
        assert isinstance(rows[0].result.error, ModelLoadError)
        assert [row.result.inference for row in run(engine.bundle(), [1])] == [2]


def test_a_closed_engine_gives_no_bundle_and_takes_no_row():
    engine = Engine(CountingHandler())
    bundle = engine.bundle()
    engine.close()
    with pytest.raises(EngineClosedError, match="closed"):
        bundle.add(1, None)
    with pytest.raises(EngineClosedError, match="closed"):
        engine.bundle()


def test_ready_made_batches_stay_as_they_are():
    handler = FailingHandler([7]).with_no_batching()
    with Engine(handler, on_failure=print) as engine:
        bundle = engine.bundle()
        for batch in ([1, 2, 3], [4], [5, 6, 7, 8]):
            bundle.add_batch(batch, f"{len(batch)} rows")
        done = rows_of(bundle.finish())
    assert handler.log.batch_sizes[:2] == [3, 1]
    values = [None if isinstance(row.result, Failed) else row.result.inference for row in done]
    assert values == [2, 4, 6, 8, 10, 12, None, 16]
    assert [row.tag for row in done] == ["3 rows"] * 3 + ["1 rows"] + ["4 rows"] * 4


def test_what_was_recorded_about_a_batch_is_noted_once_in_one_of_its_bundles():
    journal = Journal()
    with Engine(SleepingHandler(0.001), metrics=journal) as engine, ThreadPoolExecutor(8) as threads:
        bundles = [engine.bundle() for _ in range(200)]
        list(threads.map(lambda bundle: run(bundle, range(3)), bundles))
        snapshot = engine.metrics()
    entries = [entry for bundle in bundles for entry in bundle.notes]
    assert sum(entry.counts.get("num_inferences", 0) for entry in entries) == snapshot["num_inferences"] == 600
    assert sum(1 for entry in entries if "batch_size" in entry.observations) == snapshot["batch_size_COUNT"]
    assert sum("load_model_latency_milli_secs" in entry.observations for entry in entries) == 1
    assert journal.take() == []


def test_a_model_loaded_beforehand_is_not_loaded_again():
    handler = CountingHandler()
    with Engine(handler) as engine:
        engine.load()
        assert handler.log.loads == 1
        run(engine.bundle(), range(3))
    assert handler.log.loads == 1


def test_something_is_done_before_each_call_in_the_thread_of_the_model():
    threads = []
    handler = CountingHandler(max_batch_size=2)
    with Engine(handler, before_call=lambda: threads.append(threading.get_ident())) as engine:
        run(engine.bundle(), range(10))
    assert threads == handler.log.threads
    assert threading.get_ident() not in threads
