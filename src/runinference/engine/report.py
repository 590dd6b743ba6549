"""What the metrics learn from each batch and each loaded model."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from runinference.batching import Limit
from runinference.engine.isolate import Isolated
from runinference.engine.stages import Outcome
from runinference.engine.timings import Timings
from runinference.metrics import Metrics
from runinference.models.hosted import HostedModel
from runinference.models.size import count_array_bytes
from runinference.models.store import Loaded
from runinference.prediction import qualified_name

_logger = logging.getLogger(__name__)


class Reporter:
    """Records batches, failures, and what happens to the model.

    Attributes:
        model_bytes: Bytes of the model that was loaded last, where that could be measured.
        load_s: Seconds that loading took, of all loads.
        spent: Where the time of all batches went.
        overlapped: Whether the last batch was run while others were read.

    Args:
        metrics: Where they are recorded.
        limit: Asked for the batch size that was settled on; `None` where there is no single one.
    """

    def __init__(self, metrics: Metrics, limit: Limit | None = None) -> None:
        self._metrics = metrics
        self._limit = limit
        self.model_bytes: int | None = None
        self._started = time.monotonic()
        self._ended: float | None = None
        self._first_batch: float | None = None
        self._rows = 0
        self.load_s = 0.0
        self.spent = Timings()
        self.overlapped = False

    def loaded(self, handler: Any, loaded: Loaded) -> None:
        """Records that `handler` loaded its model, and measures it."""
        self.load_s += loaded.load_s
        observations = {"load_model_latency_milli_secs": loaded.load_s * 1e3}
        try:
            self.model_bytes = _model_bytes(handler, loaded.model)
            observations["model_byte_size"] = self.model_bytes
        except Exception:
            _logger.warning("The size of the model could not be measured", exc_info=True)
        self._metrics.record({}, observations)

    def updated(self, before: str | None, after: str | None) -> None:
        """Records that the model was exchanged while it ran."""
        self._metrics.count("model_updates")
        _logger.info("The model is now %s; it was %s", after, before)

    def update_failed(self, wanted: str | None, serving: str | None, error: BaseException) -> None:
        """Records that a new version of the model does not work."""
        self._metrics.count("failed_model_updates")
        reason = f"{qualified_name(type(error))}: {error}".partition("\n")[0]
        _logger.warning("The new model %s does not work, so %s serves on: %s", wanted, serving, reason)

    def watch(self, outcome: Outcome, overlapped: bool) -> None:
        """Takes note of an outcome, which is recorded elsewhere, for what `refresh` records."""
        timings = outcome.timings
        if outcome.batch is not None and self._first_batch is None:
            self._first_batch = time.monotonic() - timings.inference - timings.postprocess - timings.preprocess
        if outcome.isolated is not None:
            self._rows += sum(len(part) for part, _ in outcome.isolated.worked)
        self.spent.add(timings)
        self.overlapped = overlapped

    def batch(self, outcome: Outcome, overlapped: bool) -> None:
        """Records an outcome."""
        self.watch(outcome, overlapped)
        counts: dict[str, int] = {}
        observations: dict[str, float] = {}
        if outcome.failures:
            counts["failed_examples"] = len(outcome.failures)
            for failure in outcome.failures:
                name = f"failed_examples_{failure.stage}"
                counts[name] = counts.get(name, 0) + 1
        batch, isolated, timings = outcome.batch, outcome.isolated, outcome.timings
        if batch is not None and isolated is not None:
            rows = len(batch.rows)
            inferred = sum(len(part) for part, _ in isolated.worked)
            counts |= {
                "num_inferences": inferred,
                "inference_calls": isolated.calls,
                f"batches_flushed_{batch.reason}": 1,
            }
            if isolated.failed:
                counts["failed_batches_counter"] = 1
            if isolated.retried:
                counts["retried_batches"] = 1
            if isolated.out_of_memory is not None:
                counts["out_of_memory_batches"] = 1
            if batch.padded:
                counts |= {"real_tokens": batch.real, "padded_tokens": batch.padded}
            observations = {
                "batch_size": rows,
                "msec_per_batch": (timings.preprocess + timings.inference + timings.postprocess) * 1e3,
                "inference_batch_latency_micro_secs": timings.inference * 1e6,
                "inference_request_batch_size": rows,
                "inference_request_batch_byte_size": outcome.num_bytes,
                "queue_wait_micro_secs": outcome.queue_wait_s * 1e6,
                "batch_fill_ratio": batch.fill,
            }
            if timings.preprocess:
                observations["preprocess_micro_secs"] = timings.preprocess * 1e6
            if timings.postprocess:
                observations["postprocess_micro_secs"] = timings.postprocess * 1e6
        self._metrics.record(counts, observations)

    def fault(self, isolated: Isolated) -> None:
        """Records a batch on which the model failed as a whole."""
        self._metrics.record({"failed_batches_counter": 1, "inference_calls": isolated.calls}, {})

    def end(self) -> None:
        """Stops the clock."""
        self._ended = self._ended or time.monotonic()
        self.refresh()

    @property
    def elapsed_s(self) -> float:
        """Seconds since this was made, until the clock was stopped."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def running_s(self) -> float | None:
        """Seconds since the first batch, until the clock was stopped; `None` before there is one."""
        return None if self._first_batch is None else (self._ended or time.monotonic()) - self._first_batch

    def refresh(self) -> None:
        """Records what holds at this moment."""
        self._metrics.set("elapsed_secs", self.elapsed_s)
        running = self.running_s
        if running is not None:
            self._metrics.set("throughput_rows_per_sec", self._rows / running if running else 0.0)
        peak = _peak_device_bytes()
        if peak is not None:
            self._metrics.set("peak_device_memory_bytes", peak)
        if self._limit is not None:
            tuner = self._limit.tuner
            self._metrics.set("tuned_batch_tokens" if self._limit.by_area else "tuned_batch_size", tuner.size)
            self._metrics.set("batch_size_reason", tuner.reason)
        self._metrics.set("execution_mode", "overlapped" if self.overlapped else "inline")


def _model_bytes(handler: Any, model: Any) -> int:
    if isinstance(model, HostedModel):
        return model.num_bytes
    count = getattr(handler, "get_model_bytes", None)
    nbytes: int | None = None if count is None else count(model)
    return count_array_bytes(model) if nbytes is None else nbytes


def _peak_device_bytes() -> int | None:
    """The most device memory that PyTorch used, where this process uses it on a device."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return sum(int(torch.cuda.max_memory_allocated(device)) for device in range(torch.cuda.device_count()))
