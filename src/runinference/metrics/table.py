"""The one table that declares every metric: its name, what kind it is, its unit and exactly what it counts.

A metric that is not in this table cannot be recorded. A row added here can be recorded, is written to every
destination and appears in the text table; nothing else has to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["counter", "distribution", "gauge"]
Group = Literal["rows and batches", "time", "batching", "failures", "model", "device"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What one metric is.

    Attributes:
        name: The name under which it is recorded and reported.
        kind: `counter` only grows, `distribution` keeps many values, `gauge` keeps one.
        unit: Unit of its values; `text` for a gauge that holds words, `ratio` for a share between 0 and 1, `%` for
            one between 0 and 100.
        help: What exactly is measured, in one sentence.
        group: The heading under which the text table shows it.
        label: What the text table calls it; empty for a metric that it leaves out.
        merge: What two gauges become when two recordings are joined; counters add up and distributions join.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    group: Group
    label: str
    merge: Literal["last", "max", "sum"] = "last"


_ROWS: list[MetricSpec] = [
    # Rows and batches
    MetricSpec(
        "num_inferences",
        "counter",
        "rows",
        "Rows for which the model made a prediction.",
        "rows and batches",
        "rows predicted",
    ),
    MetricSpec(
        "inference_calls",
        "counter",
        "calls",
        "Every call of run_inference, with those made to retry a batch or to split it.",
        "rows and batches",
        "calls of the model",
    ),
    MetricSpec(
        "batch_size",
        "distribution",
        "rows",
        "Rows in a batch when it was formed.",
        "rows and batches",
        "rows per batch",
    ),
    MetricSpec(
        "inference_request_batch_size",
        "distribution",
        "rows",
        "Rows of a batch that were handed to the model, so without those that failed before it.",
        "rows and batches",
        "",
    ),
    MetricSpec(
        "inference_request_batch_byte_size",
        "distribution",
        "bytes",
        "Bytes of a batch that were handed to the model, as get_num_bytes tells.",
        "rows and batches",
        "bytes handed over",
    ),
    # Time
    MetricSpec(
        "throughput_rows_per_sec",
        "gauge",
        "rows/s",
        "Rows predicted per second since the first batch, so without loading; recordings side by side add up.",
        "time",
        "throughput",
        merge="sum",
    ),
    MetricSpec(
        "elapsed_secs",
        "gauge",
        "s",
        "Wall-clock time from the making of the engine to its end, or to now.",
        "time",
        "elapsed",
        merge="max",
    ),
    MetricSpec(
        "total_inference_secs",
        "gauge",
        "s",
        "Time spent in the model: the sum of batch latencies, which is batches x mean batch latency, not rows x mean.",
        "time",
        "in the model",
        merge="sum",
    ),
    MetricSpec(
        "inference_batch_latency_micro_secs",
        "distribution",
        "µs",
        "Time that a batch spent in run_inference until its last prediction was drawn; one value per batch.",
        "time",
        "batch latency",
    ),
    MetricSpec(
        "msec_per_batch",
        "distribution",
        "ms",
        "Time of a whole batch: pre-processing, inference and post-processing.",
        "time",
        "whole batch",
    ),
    MetricSpec(
        "preprocess_micro_secs",
        "distribution",
        "µs",
        "Time that the pre-processing functions took for a batch.",
        "time",
        "pre-processing",
    ),
    MetricSpec(
        "postprocess_micro_secs",
        "distribution",
        "µs",
        "Time that the post-processing functions took for a batch.",
        "time",
        "post-processing",
    ),
    MetricSpec(
        "queue_wait_micro_secs",
        "distribution",
        "µs",
        "How long the oldest row of a batch waited, from its arrival until the batch was formed.",
        "time",
        "queue wait",
    ),
    MetricSpec(
        "execution_mode",
        "gauge",
        "text",
        "'inline' when the caller's thread runs the batches, 'overlapped' when reading and inference run side by side.",
        "time",
        "execution",
    ),
    MetricSpec(
        "bottleneck",
        "gauge",
        "text",
        "What held the rows up most, and what helps against it, in words.",
        "time",
        "bottleneck",
    ),
    # Batching
    MetricSpec(
        "tuned_batch_size",
        "gauge",
        "rows",
        "The batch size that was in force at the end.",
        "batching",
        "batch size",
    ),
    MetricSpec(
        "tuned_batch_tokens",
        "gauge",
        "tokens",
        "The same where rows vary in length: tokens of a batch, with padding.",
        "batching",
        "batch tokens",
    ),
    MetricSpec(
        "batch_size_reason",
        "gauge",
        "text",
        "Why that batch size was in force, in words.",
        "batching",
        "chosen because",
    ),
    MetricSpec(
        "batch_fill_ratio",
        "distribution",
        "ratio",
        "Share of the size, weight or padded area aimed at that a batch had.",
        "batching",
        "batch fill",
    ),
    MetricSpec(
        "batches_flushed_full",
        "counter",
        "batches",
        "Batches sent off because they were full.",
        "batching",
        "sent when full",
    ),
    MetricSpec(
        "batches_flushed_deadline",
        "counter",
        "batches",
        "Batches sent off because their oldest row had waited long enough.",
        "batching",
        "sent at the deadline",
    ),
    MetricSpec(
        "batches_flushed_end",
        "counter",
        "batches",
        "Batches sent off because the input ended.",
        "batching",
        "sent at the end",
    ),
    MetricSpec(
        "batches_flushed_bucket",
        "counter",
        "batches",
        "Batches of a bucket or model with the oldest row, sent off because too many rows came in since for others.",
        "batching",
        "sent for their bucket",
    ),
    MetricSpec(
        "batches_flushed_memory",
        "counter",
        "batches",
        "Batches that a limit of weight or padded area closed, or an earlier lack of memory.",
        "batching",
        "sent at a weight limit",
    ),
    MetricSpec(
        "real_tokens",
        "counter",
        "tokens",
        "Tokens (or other units of length) that came from rows.",
        "batching",
        "real tokens",
    ),
    MetricSpec(
        "padded_tokens",
        "counter",
        "tokens",
        "Tokens that the model was handed: those of the rows and the padding around them.",
        "batching",
        "tokens with padding",
    ),
    MetricSpec(
        "padding_efficiency",
        "gauge",
        "ratio",
        "real_tokens divided by padded_tokens; 1 means that nothing was padded.",
        "batching",
        "padding efficiency",
    ),
    # Failures
    MetricSpec(
        "failed_batches_counter",
        "counter",
        "batches",
        "Batches in which at least one row failed.",
        "failures",
        "batches with a failure",
    ),
    MetricSpec(
        "failed_examples",
        "counter",
        "rows",
        "Rows that failed, whatever the stage; the sum of the five counters by stage.",
        "failures",
        "failed rows",
    ),
    *(
        MetricSpec(
            f"failed_examples_{stage}",
            "counter",
            "rows",
            f"Rows that failed {where}.",
            "failures",
            f"failed {where}",
        )
        for stage, where in [
            ("read", "while being read"),
            ("preprocess", "in pre-processing"),
            ("inference", "in the model"),
            ("postprocess", "in post-processing"),
            ("write", "while being written"),
        ]
    ),
    MetricSpec(
        "retried_batches",
        "counter",
        "batches",
        "Batches that were tried again after an error that may pass.",
        "failures",
        "batches tried again",
    ),
    MetricSpec(
        "out_of_memory_batches",
        "counter",
        "batches",
        "Batches that did not fit in memory and were split.",
        "failures",
        "batches out of memory",
    ),
    # Model
    MetricSpec(
        "load_model_latency_milli_secs",
        "distribution",
        "ms",
        "Time that load_model took, with what it imports; one value per load.",
        "model",
        "load time",
    ),
    MetricSpec(
        "model_byte_size",
        "distribution",
        "bytes",
        "Bytes of the model's parameters and buffers, on the host and on devices; one value per load.",
        "model",
        "model size",
    ),
    MetricSpec(
        "model_updates",
        "counter",
        "models",
        "New versions of a model that took over while rows were running.",
        "model",
        "updates",
    ),
    MetricSpec(
        "failed_model_updates",
        "counter",
        "models",
        "New versions of a model that could not be loaded or did not work, so that the version before served on.",
        "model",
        "failed updates",
    ),
    MetricSpec(
        "model_evictions",
        "counter",
        "models",
        "Models that left the memory to make room for others.",
        "model",
        "left the memory",
    ),
    MetricSpec(
        "model_reloads",
        "counter",
        "models",
        "Models that were loaded again after they had left the memory; many of them mean that too few fit.",
        "model",
        "loaded again",
    ),
    MetricSpec(
        "models_in_memory",
        "gauge",
        "models",
        "How many of the models that take turns in memory are there.",
        "model",
        "in memory",
        merge="sum",
    ),
    # Device
    MetricSpec(
        "device_utilization_percent",
        "distribution",
        "%",
        "Share of the time in which a GPU computed, as its driver tells; one value per second and GPU in use.",
        "device",
        "utilization",
    ),
    MetricSpec(
        "device_memory_used_bytes",
        "distribution",
        "bytes",
        "Memory in use on these GPUs together: by this process, or by all where the driver does not tell them apart.",
        "device",
        "memory in use",
    ),
    MetricSpec(
        "peak_device_memory_bytes",
        "gauge",
        "bytes",
        "The most memory that PyTorch had allocated on devices at any moment.",
        "device",
        "peak in PyTorch",
        merge="max",
    ),
]

METRICS: Mapping[str, MetricSpec] = MappingProxyType({spec.name: spec for spec in _ROWS})
"""Every metric by its name, in the order in which reports show them."""
