"""Batches that a device computes while the engine prepares the next one; the device is a thread."""

import queue
import threading
import time
from concurrent.futures import Future

import pytest

from runinference import Engine, InferenceError, KeyedModelHandler, Metrics, ModelHandler, PredictionResult, infer
from runinference.pending import Pending

pytestmark = pytest.mark.core


class Device:
    """Computes one batch after the other in its own thread, as a GPU does behind a stream."""

    def __init__(self):
        self.work = queue.SimpleQueue()
        self.begun, self.ended, self.most_waiting = [], [], 0
        threading.Thread(target=self.run, daemon=True).start()

    def submit(self, batch):
        future = Future()
        self.begun.append(tuple(batch))
        self.most_waiting = max(self.most_waiting, len(self.begun) - len(self.ended))
        self.work.put((batch, future))
        return future

    def run(self):
        while True:
            batch, future = self.work.get()
            time.sleep(0.002)
            self.ended.append(tuple(batch))
            if any(row == "bad" for row in batch):
                future.set_exception(ValueError("a bad row"))
            else:
                future.set_result([row * 2 for row in batch])


class OnDevice(ModelHandler):
    """Hands batches to the device and returns at once."""

    def load_model(self):
        self.device = Device()
        return self.device

    def run_inference(self, batch, model, inference_args=None):
        future = model.submit(batch)
        predictions = [None] * len(batch)

        def wait():
            predictions[:] = [PredictionResult(row, value) for row, value in zip(batch, future.result(), strict=True)]

        return Pending(predictions, wait)


def fixed(size=4):
    return OnDevice(min_batch_size=size, max_batch_size=size)


def test_results_come_in_order_and_complete():
    assert [result.inference for result in infer(range(1000), fixed())] == [2 * row for row in range(1000)]


@pytest.mark.parametrize("source", [list, iter])
def test_the_next_batch_is_handed_over_while_one_is_computed(source):
    handler = fixed()
    list(infer(source(list(range(400))), handler))
    assert handler.device.most_waiting == 2


def test_one_thread_hands_over_one_batch_at_a_time():
    handler = fixed()
    assert len(list(infer(iter(range(40)), handler, workers=0))) == 40
    assert handler.device.most_waiting == 1


def test_a_result_is_not_held_back_until_more_rows_come():
    more = threading.Event()

    def rows():
        yield from range(4)
        assert more.wait(10), "the first batch was not given out"
        yield from range(4, 8)

    results = infer(rows(), fixed())
    assert [next(results).inference for _ in range(4)] == [0, 2, 4, 6]
    more.set()
    assert [result.inference for result in results] == [8, 10, 12, 14]


def test_only_the_bad_row_is_set_aside():
    rows, failures = [*range(10), "bad", *range(11, 30)], []
    results = list(infer(rows, fixed(8), on_failure=failures.append))
    assert [failure.index for failure in failures] == [10]
    assert [result.inference for result in results] == [2 * row for row in rows if row != "bad"]


def test_a_failure_without_a_handler_for_it_stops_behind_the_rows_before():
    results = infer([0, 1, 2, 3, 4, "bad", 6, 7], fixed(2))
    assert [next(results).inference for _ in range(5)] == [0, 2, 4, 6, 8]
    with pytest.raises(InferenceError, match="Row 5 failed in inference: ValueError: a bad row"):
        next(results)


def test_keys_come_back():
    pairs = [(f"k{number}", number) for number in range(50)]
    results = list(infer(pairs, KeyedModelHandler(fixed())))
    assert [(key, result.inference) for key, result in results] == [(key, 2 * row) for key, row in pairs]


def test_postprocessing_sees_results_that_are_there():
    handler = fixed().with_postprocess_fn(lambda result: result.inference + 1)
    assert list(infer(range(50), handler)) == [2 * row + 1 for row in range(50)]


def test_a_time_limit_counts_the_device_too():
    handler = fixed()
    assert len(list(infer(range(20), handler, timeout_s=5))) == 20
    assert handler.device.most_waiting == 1


def test_rows_submitted_one_by_one_are_answered():
    with Engine(fixed()) as engine:
        futures = [engine.submit(row) for row in range(40)]
        assert [future.result(10).inference for future in futures] == [2 * row for row in range(40)]


def test_batches_and_their_times_are_counted_once():
    metrics = Metrics()
    start = time.perf_counter()
    list(infer(range(400), fixed(), metrics=metrics))
    elapsed = time.perf_counter() - start
    snapshot = metrics.snapshot()
    assert snapshot["num_inferences"] == 400
    assert snapshot["batch_size_COUNT"] == 100
    # Overlapping batches count no time twice.
    assert 0 < snapshot["msec_per_batch_SUM"] < 1000 * elapsed


def test_pending_predictions_wait_for_whoever_reads_them():
    waited = []
    predictions = []

    def wait():
        waited.append(1)
        predictions.extend([1, 2, 3])

    pending = Pending(predictions, wait)
    assert waited == []
    assert list(pending) == [1, 2, 3]
    assert pending[1:] == [2, 3]
    assert pending[0] == 1
    assert waited == [1]
