"""The numbers of a run add up."""

import numpy as np
import pytest

from runinference import Metrics, ModelFaultError, infer
from runinference.testing.fakes import CountingHandler, FailingHandler, MemoryCapHandler

pytestmark = pytest.mark.core

WORKERS = pytest.mark.parametrize("workers", [0, 2, None])


def measured(rows, handler, metrics=None, **arguments):
    metrics, failures = metrics or Metrics(), []
    list(infer(rows, handler, metrics=metrics, on_failure=failures.append, **arguments))
    return metrics.snapshot(), failures


@WORKERS
def test_predicted_and_failed_rows_are_all_rows(workers):
    def before(row):
        return 1 / (row % 100 - 50) and row

    handler = FailingHandler({3, 77, 400}, min_batch_size=32, max_batch_size=32).with_preprocess_fn(before)
    snapshot, failures = measured(range(1000), handler, workers=workers)
    assert len(failures) == 13
    assert (snapshot["num_inferences"], snapshot["failed_examples"]) == (987, 13)
    assert (snapshot["failed_examples_preprocess"], snapshot["failed_examples_inference"]) == (10, 3)
    assert snapshot["failed_batches_counter"] == 3
    assert snapshot["inference_calls"] == handler.log.calls


def test_rows_that_fail_after_the_model_were_predicted():
    handler = CountingHandler().with_postprocess_fn(lambda result: 1 / (result.example - 4))
    snapshot, _ = measured(range(10), handler)
    assert snapshot["failed_examples_postprocess"] == 1
    assert (snapshot["num_inferences"], snapshot["failed_examples"]) == (10, 1)


def test_a_batch_that_ends_the_run_is_a_failed_batch():
    metrics = Metrics()
    with pytest.raises(ModelFaultError):
        measured(range(100), FailingHandler(lambda row: True, max_batch_size=32), metrics)
    assert metrics.snapshot()["failed_batches_counter"] >= 1
    assert metrics.snapshot()["inference_calls"] > 1


@WORKERS
def test_each_batch_is_observed_once(workers):
    handler = CountingHandler(min_batch_size=32, max_batch_size=32)
    snapshot, _ = measured(range(1000), handler, workers=workers)
    per_batch = [
        "batch_size",
        "msec_per_batch",
        "inference_batch_latency_micro_secs",
        "inference_request_batch_size",
        "inference_request_batch_byte_size",
        "queue_wait_micro_secs",
        "batch_fill_ratio",
    ]
    assert {name: snapshot[f"{name}_COUNT"] for name in per_batch} == dict.fromkeys(per_batch, 32)
    assert (snapshot["batch_size_SUM"], snapshot["batch_size_MIN"], snapshot["batch_size_MAX"]) == (1000, 8, 32)
    assert (snapshot["batches_flushed_full"], snapshot["batches_flushed_end"]) == (31, 1)


def test_the_bytes_of_a_batch_are_those_of_its_rows():
    rows = [np.zeros(10, np.float32) for _ in range(12)]
    snapshot, _ = measured(rows, CountingHandler(min_batch_size=4, max_batch_size=4))
    assert snapshot["inference_request_batch_byte_size_MAX"] == 160
    assert snapshot["inference_request_batch_byte_size_SUM"] == 480


def test_the_model_is_measured_once():
    snapshot, _ = measured(range(100), CountingHandler())
    assert (snapshot["model_byte_size_COUNT"], snapshot["model_byte_size_MAX"]) == (1, 8)
    assert snapshot["load_model_latency_milli_secs_COUNT"] == 1


@WORKERS
@pytest.mark.parametrize("copies", [1, 2])
def test_steps_are_timed(workers, copies):
    handler = CountingHandler(max_batch_size=10, model_copies=copies)
    handler = handler.with_preprocess_fn(lambda row: row).with_postprocess_fn(lambda result: result)
    snapshot, _ = measured(range(100), handler, workers=workers)
    # Rows that were prepared in one go may come into two batches.
    assert 0 < snapshot["preprocess_micro_secs_COUNT"] <= snapshot["batch_size_COUNT"]
    assert snapshot["postprocess_micro_secs_COUNT"] == snapshot["batch_size_COUNT"]
    assert snapshot["throughput_rows_per_sec"] > 0


def test_real_and_padded_tokens_are_counted():
    texts = ["x" * length for length in range(1, 101)]
    snapshot, _ = measured(texts, CountingHandler(batch_length_fn=len, max_batch_weight=500))
    assert snapshot["real_tokens"] == 5050
    assert 0.7 < snapshot["padding_efficiency"] <= 1


def test_memory_that_ran_out_is_counted():
    snapshot, failures = measured(range(100), MemoryCapHandler(3, min_batch_size=16, max_batch_size=16))
    assert failures == []
    assert snapshot["num_inferences"] == 100
    assert snapshot["out_of_memory_batches"] >= 1
    assert "ran out of memory" in snapshot["batch_size_reason"]


def test_the_namespace_is_that_of_the_handler():
    class Named(CountingHandler):
        def get_metrics_namespace(self):
            return "mine"

    from runinference import Engine

    with Engine(Named()) as engine:
        assert engine.metrics().namespace == "mine"
