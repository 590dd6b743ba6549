"""The table of metrics: fixed names, complete rows."""

import re

import pytest

from runinference.metrics import METRICS

pytestmark = pytest.mark.core

COUNTERS = {
    "num_inferences", "failed_batches_counter", "failed_examples", "failed_examples_read",
    "failed_examples_preprocess", "failed_examples_inference", "failed_examples_postprocess",
    "failed_examples_write", "inference_calls", "retried_batches", "out_of_memory_batches",
    "batches_flushed_full", "batches_flushed_deadline", "batches_flushed_end", "batches_flushed_bucket",
    "batches_flushed_memory", "real_tokens", "padded_tokens", "model_updates", "failed_model_updates",
    "model_evictions", "model_reloads",
}  # fmt: skip
DISTRIBUTIONS = {
    "batch_size", "msec_per_batch", "inference_batch_latency_micro_secs", "inference_request_batch_size",
    "inference_request_batch_byte_size", "load_model_latency_milli_secs", "model_byte_size",
    "queue_wait_micro_secs", "preprocess_micro_secs", "postprocess_micro_secs", "batch_fill_ratio",
    "device_utilization_percent", "device_memory_used_bytes",
}  # fmt: skip
GAUGES = {
    "throughput_rows_per_sec", "elapsed_secs", "padding_efficiency", "peak_device_memory_bytes",
    "tuned_batch_size", "tuned_batch_tokens", "batch_size_reason", "execution_mode", "total_inference_secs",
    "models_in_memory", "bottleneck",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "names"), [("counter", COUNTERS), ("distribution", DISTRIBUTIONS), ("gauge", GAUGES)])
def test_the_names_that_dashboards_rely_on_are_all_there(kind, names):
    assert {name for name, spec in METRICS.items() if spec.kind == kind} == names


@pytest.mark.parametrize("spec", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is(spec):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.name)
    assert METRICS[spec.name] is spec
    assert spec.unit
    assert spec.help.endswith(".")
    assert "\n" not in spec.help


def test_no_two_metrics_share_a_label():
    labels = [spec.label for spec in METRICS.values()]
    assert len(labels) == len(set(labels))


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        METRICS["mine"] = next(iter(METRICS.values()))
