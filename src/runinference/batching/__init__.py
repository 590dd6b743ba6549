"""When a batch is ready, and what is in it: state machines without a thread, a clock or a sleep."""

from __future__ import annotations

from runinference.batching.batch import Batch, Batcher, FlushReason
from runinference.batching.buckets import BucketBatcher
from runinference.batching.fifo import FifoBatcher
from runinference.batching.limit import Limit
from runinference.batching.ready_made import ReadyMadeBatcher
from runinference.batching.rows import Rows
from runinference.batching.tuner import SizeTuner
from runinference.batching.window import WindowBatcher
from runinference.options import BatchPolicy

__all__ = [
    "Batch",
    "Batcher",
    "BucketBatcher",
    "FifoBatcher",
    "FlushReason",
    "Limit",
    "ReadyMadeBatcher",
    "Rows",
    "SizeTuner",
    "WindowBatcher",
    "make_batcher",
    "make_limit",
]

_FIRST_ROWS = 8
_FIRST_AREA = 512
_LARGEST_AREA = 1 << 20
_LARGEST_ROWS = 16384


def make_limit(policy: BatchPolicy) -> Limit:
    """How large the batches of `policy` may be, with a tuner where the policy leaves it open."""
    fixed, area = policy.fixed_size, policy.max_weight
    if policy.length_fn is not None and (fixed is None or area is not None):
        tuner = SizeTuner(area or _FIRST_AREA, largest=area or _LARGEST_AREA, fixed=area is not None)
        return Limit(tuner, policy.max_size, area, by_area=True)
    if fixed is not None:
        return Limit(SizeTuner(fixed, largest=fixed, fixed=True), fixed, policy.max_weight)
    smallest = policy.min_size or 1
    largest = policy.max_size or max(_LARGEST_ROWS, smallest)
    tuner = SizeTuner(max(smallest, _FIRST_ROWS), smallest, largest)
    return Limit(tuner, policy.max_size, policy.max_weight)


def make_batcher(policy: BatchPolicy, limit: Limit) -> Batcher:
    """The batcher that `policy` asks for."""
    delay = policy.max_delay_s
    if policy.length_fn is None:
        return FifoBatcher(limit, delay)
    if policy.bucket_boundaries is not None:
        return BucketBatcher(limit, policy.bucket_boundaries, delay)
    return WindowBatcher(limit, delay)
