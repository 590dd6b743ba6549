"""Recording metrics: only declared ones, from any thread, and across processes."""

import math
import pickle
import threading

import numpy as np
import pytest

from runinference.errors import ConfigurationError
from runinference.metrics import Metrics

pytestmark = pytest.mark.core


def test_what_is_recorded_is_found_in_the_snapshot():
    metrics = Metrics()
    metrics.count("num_inferences", 3)
    metrics.count("num_inferences")
    metrics.observe("batch_size", 4)
    metrics.set("execution_mode", "inline")
    metrics.record({"num_inferences": 2, "inference_calls": 1}, {"batch_size": 2, "msec_per_batch": 1.5})
    snapshot = metrics.snapshot()
    assert snapshot["num_inferences"] == 6
    assert snapshot["inference_calls"] == 1
    assert (snapshot["batch_size_COUNT"], snapshot["batch_size_MEAN"]) == (2, 3.0)
    assert snapshot["msec_per_batch_MAX"] == 1.5
    assert snapshot["execution_mode"] == "inline"


def test_a_snapshot_does_not_change_afterwards():
    metrics = Metrics()
    metrics.record({"num_inferences": 1}, {"batch_size": 1})
    snapshot = metrics.snapshot()
    metrics.record({"num_inferences": 1}, {"batch_size": 1})
    metrics.set("elapsed_secs", 2.0)
    assert (snapshot["num_inferences"], snapshot["batch_size_COUNT"]) == (1, 1)
    assert "elapsed_secs" not in snapshot.to_dict()


def test_numbers_of_numpy_are_accepted_and_become_plain_numbers():
    metrics = Metrics()
    metrics.record({"num_inferences": np.int64(2)}, {"batch_size": np.float32(2)})
    metrics.set("peak_device_memory_bytes", np.int64(7))
    metrics.set("elapsed_secs", np.float64(0.5))
    flat = metrics.snapshot().to_dict()
    assert type(flat["num_inferences"]) is int
    assert type(flat["batch_size_MAX"]) is float
    assert (type(flat["peak_device_memory_bytes"]), type(flat["elapsed_secs"])) == (int, float)


def test_nan_is_left_out():
    metrics = Metrics()
    metrics.observe("batch_fill_ratio", math.nan)
    metrics.set("elapsed_secs", math.nan)
    flat = metrics.snapshot().to_dict()
    assert flat["batch_fill_ratio_COUNT"] == 0
    assert "elapsed_secs" not in flat


def test_an_undeclared_name_names_the_closest_one():
    metrics = Metrics()
    with pytest.raises(ConfigurationError, match=r"No counter named 'num_inference'.*Did you mean 'num_inferences'\?"):
        metrics.count("num_inference")
    with pytest.raises(ConfigurationError, match=r"No distribution named 'batchsize'.*'batch_size'\?"):
        metrics.observe("batchsize", 1)
    with pytest.raises(ConfigurationError, match=r"No gauge named 'elapsed'"):
        metrics.set("elapsed", 1)


def test_a_wrong_kind_names_the_method_to_use():
    metrics = Metrics()
    with pytest.raises(ConfigurationError, match=r"'batch_size' is a distribution, not a counter; use observe"):
        metrics.count("batch_size")
    with pytest.raises(ConfigurationError, match=r"'num_inferences' is a counter, not a distribution; use count"):
        metrics.observe("num_inferences", 1)
    with pytest.raises(ConfigurationError, match=r"'num_inferences' is a counter, not a gauge; use count"):
        metrics.set("num_inferences", 1)
    with pytest.raises(ConfigurationError, match=r"'elapsed_secs' is a gauge, not a distribution; use set"):
        metrics.observe("elapsed_secs", 1)


def test_a_gauge_takes_text_or_a_number_but_not_the_other():
    metrics = Metrics()
    with pytest.raises(ConfigurationError, match=r"'execution_mode' holds text, not 3"):
        metrics.set("execution_mode", 3)
    with pytest.raises(ConfigurationError, match=r"'elapsed_secs' holds a number \(s\), not 'long'"):
        metrics.set("elapsed_secs", "long")


def test_a_counter_cannot_shrink_and_takes_whole_numbers():
    metrics = Metrics()
    with pytest.raises(ConfigurationError, match=r"'num_inferences' only grows; it cannot change by -1"):
        metrics.count("num_inferences", -1)
    with pytest.raises(TypeError, match="integer"):
        metrics.count("num_inferences", 1.5)


def test_a_record_with_a_wrong_name_records_nothing():
    metrics = Metrics()
    with pytest.raises(ConfigurationError, match="wrong"):
        metrics.record({"num_inferences": 1}, {"batch_size": 1, "wrong": 1})
    assert metrics.snapshot().to_dict() == Metrics().snapshot().to_dict()


def test_merging_adds_counters_and_joins_distributions_and_gauges():
    first, second = Metrics(), Metrics()
    for metrics, rows, seconds in ((first, 2, 5.0), (second, 6, 3.0)):
        metrics.record({"num_inferences": rows}, {"batch_size": rows})
        metrics.set("elapsed_secs", seconds)
        metrics.set("throughput_rows_per_sec", rows * 10)
        metrics.set("execution_mode", f"mode of {rows}")
    first.merge(second)
    snapshot = first.snapshot()
    assert snapshot["num_inferences"] == 8
    assert (snapshot["batch_size_COUNT"], snapshot["batch_size_SUM"]) == (2, 8.0)
    assert (snapshot["batch_size_MIN"], snapshot["batch_size_MAX"]) == (2.0, 6.0)
    assert snapshot["elapsed_secs"] == 5.0
    assert snapshot["throughput_rows_per_sec"] == 80
    assert snapshot["execution_mode"] == "mode of 6"
    assert second.snapshot()["num_inferences"] == 6


def test_merging_into_an_empty_recorder_gives_the_same_numbers():
    metrics, empty = Metrics(), Metrics()
    metrics.record({"num_inferences": 2}, {"batch_size": 2, "msec_per_batch": 0.3})
    metrics.set("peak_device_memory_bytes", 10)
    empty.merge(metrics)
    assert empty.snapshot().to_dict() == metrics.snapshot().to_dict()


def test_nothing_is_lost_when_threads_record_at_once():
    metrics, threads, rounds = Metrics(), 8, 2_000
    barrier = threading.Barrier(threads)

    def work() -> None:
        barrier.wait(timeout=30)
        for number in range(rounds):
            metrics.record({"num_inferences": 2, "inference_calls": 1}, {"batch_size": number % 7 + 1})
            if number % 500 == 0:
                metrics.snapshot().to_dict()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    snapshot = metrics.snapshot()
    assert snapshot["num_inferences"] == 2 * threads * rounds
    assert snapshot["inference_calls"] == snapshot["batch_size_COUNT"] == threads * rounds
    assert snapshot["batch_size_SUM"] == threads * sum(number % 7 + 1 for number in range(rounds))


def test_two_recorders_that_merge_each_other_do_not_block():
    first, second = Metrics(), Metrics()

    def merge(mine: Metrics, theirs: Metrics) -> None:
        for _ in range(200):
            mine.merge(theirs)

    workers = [threading.Thread(target=merge, args=pair, daemon=True) for pair in ((first, second), (second, first))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert not any(worker.is_alive() for worker in workers)


def test_it_survives_pickling_and_records_on():
    metrics = Metrics("MyHandler", prefix="eu_")
    metrics.record({"num_inferences": 2}, {"batch_size": 2})
    metrics.set("execution_mode", "inline")
    twin = pickle.loads(pickle.dumps(metrics))
    assert (twin.namespace, twin.prefix) == ("MyHandler", "eu_")
    assert twin.snapshot() == metrics.snapshot()
    twin.count("num_inferences")
    assert twin.snapshot()["eu_num_inferences"] == 3


def test_totals_are_the_counters_and_the_sums_of_the_distributions():
    metrics = Metrics()
    metrics.record({"num_inferences": 2}, {"batch_size": 2})
    metrics.record({"num_inferences": 3}, {"batch_size": 3})
    totals = metrics.totals()
    assert (totals["num_inferences"], totals["batch_size"], totals["failed_examples"]) == (5, 5.0, 0)
