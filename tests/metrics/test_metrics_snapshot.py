"""Snapshots: a flat dict for programs, a table for people."""

import json
import pickle

import pytest

from runinference.metrics import METRICS, Metrics
from runinference.metrics.snapshot import human

pytestmark = pytest.mark.core


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("MyHandler")
    for latency in range(1, 101):
        metrics.record(
            {"num_inferences": 32, "batches_flushed_full": 1},
            {"batch_size": 32, "inference_batch_latency_micro_secs": latency * 1000},
        )
    metrics.set("elapsed_secs", 6.5)
    return metrics


def test_a_distribution_has_all_its_statistics(metrics):
    flat = metrics.snapshot().to_dict()
    name = "inference_batch_latency_micro_secs"
    assert (flat[f"{name}_COUNT"], flat[f"{name}_SUM"], flat[f"{name}_MEAN"]) == (100, 5_050_000.0, 50_500.0)
    assert (flat[f"{name}_MIN"], flat[f"{name}_MAX"]) == (1000.0, 100_000.0)
    assert [flat[f"{name}_{key}"] for key in ("P50", "P95", "P99")] == pytest.approx([5e4, 9.5e4, 9.9e4], rel=0.02)


def test_nothing_recorded_gives_zeros_and_no_made_up_numbers():
    flat = Metrics().snapshot().to_dict()
    expected = {name for name, spec in METRICS.items() if spec.kind == "counter"}
    expected |= {f"{name}_COUNT" for name, spec in METRICS.items() if spec.kind == "distribution"}
    assert set(flat) == expected
    assert set(flat.values()) == {0}
    assert str(Metrics().snapshot()) == "nothing was recorded"


def test_total_inference_time_is_the_sum_of_batch_latencies(metrics):
    assert metrics.snapshot()["total_inference_secs"] == pytest.approx(5.05)
    metrics.merge(metrics)
    assert metrics.snapshot()["total_inference_secs"] == pytest.approx(10.1)


def test_padding_efficiency_is_right_after_a_merge():
    first, second = Metrics(), Metrics()
    first.record({"real_tokens": 90, "padded_tokens": 100}, {})
    second.record({"real_tokens": 10, "padded_tokens": 100}, {})
    first.merge(second)
    assert first.snapshot()["padding_efficiency"] == 0.5


def test_every_value_goes_into_json(metrics):
    metrics.set("batch_size_reason", "largest that fits")
    metrics.observe("model_byte_size", 1.7e308)
    metrics.observe("model_byte_size", 1.7e308)
    flat = metrics.snapshot().to_dict()
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat


def test_the_prefix_stands_before_every_name():
    snapshot = Metrics(prefix="eu_").snapshot()
    assert all(name.startswith("eu_") for name in snapshot.to_dict())
    assert snapshot["eu_num_inferences"] == 0


def test_a_name_without_a_value_names_the_closest(metrics):
    with pytest.raises(KeyError, match=r"'batch_size_P90' has no value. Did you mean 'batch_size_P9"):
        metrics.snapshot()["batch_size_P90"]


def test_a_snapshot_survives_pickling(metrics):
    snapshot = metrics.snapshot()
    assert pickle.loads(pickle.dumps(snapshot)).to_dict() == snapshot.to_dict()


def test_the_table_is_grouped_and_leaves_out_what_is_absent(metrics):
    metrics.record({"failed_examples": 2, "failed_examples_inference": 2}, {"batch_fill_ratio": 0.5})
    metrics.record({}, {"model_byte_size": 3_400_000, "batch_fill_ratio": 1.0})
    metrics.set("execution_mode", "inline")
    lines = str(metrics.snapshot()).splitlines()
    assert [line.partition("   ")[0] for line in lines if not line.startswith(" ")] == [
        "Rows and batches",
        "Time",
        "Batching",
        "Failures",
        "Model",
    ]
    rows = dict(line.strip().split("  ", 1) for line in lines if line.startswith(" "))
    rows = {label: text.strip() for label, text in rows.items()}
    assert rows["rows predicted"] == "3,200 rows"
    assert rows["rows per batch"] == "32 rows (each of 100)"
    assert rows["in the model"] == "5.0 s"
    assert rows["batch latency"].startswith("50.5 ms ")
    assert rows["batch latency"].endswith(" 100.0 ms")
    assert rows["batch fill"].split() == ["75.0", "%", "50.0", "%", "100.0", "%", "100.0", "%", "100.0", "%"]
    assert rows["failed in the model"] == "2 rows"
    assert rows["model size"] == "3.4 MB"
    assert rows["execution"] == "inline"
    assert "queue wait" not in rows
    assert "peak in PyTorch" not in rows


def test_the_columns_of_the_table_end_below_their_headings(metrics):
    metrics.observe("batch_fill_ratio", 0.5)
    metrics.observe("batch_fill_ratio", 1.0)
    lines = str(metrics.snapshot()).splitlines()
    (heading,) = (line for line in lines if line.startswith("Batching"))
    (fill,) = (line for line in lines if line.startswith("  batch fill"))
    ends = [heading.index(name) + len(name) for name in ("mean", "p50", "p95", "p99", "max")]
    assert [fill[:end].rstrip() for end in ends] == [fill[:end] for end in ends]
    assert len(fill) == len(heading)


def test_quantiles_of_repeated_values_are_exact():
    metrics = Metrics()
    for size in (128, 128, 128, 131):
        metrics.observe("batch_size", size)
    assert metrics.snapshot()["batch_size_P50"] == 128


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.34, "µs", "12.3 µs"),
        (1234, "µs", "1.2 ms"),
        (999.96, "ms", "1.0 s"),
        (75.3, "s", "1 min 15 s"),
        (7325, "s", "2 h 02 min"),
        (0.0, "s", "0.0 µs"),
        (512, "bytes", "512 bytes"),
        (999_999, "bytes", "1.0 MB"),
        (3_400_000, "bytes", "3.4 MB"),
        (2e12, "bytes", "2.0 TB"),
        (12345.4, "rows/s", "12,345 rows/s"),
        (0.25, "rows/s", "0.25 rows/s"),
        (1234567, "rows", "1,234,567 rows"),
        (0.987, "ratio", "98.7 %"),
        ("inline", "text", "inline"),
    ],
)
def test_units_are_those_that_people_use(value, unit, text):
    assert human(value, unit) == text
