"""Batches of rows of like length, in buckets."""

import pytest

from runinference.batching import BucketBatcher, make_batcher, make_limit
from runinference.options import BatchPolicy

pytestmark = pytest.mark.core


def batcher(delay=None, lookahead=16, **policy):
    policy = BatchPolicy(length_fn=int, bucket_boundaries=(10, 100), **policy)
    return BucketBatcher(make_limit(policy), policy.bucket_boundaries, delay, lookahead)


def test_the_policy_makes_a_bucket_batcher():
    policy = BatchPolicy(length_fn=int, bucket_boundaries=(10,))
    assert isinstance(make_batcher(policy, make_limit(policy)), BucketBatcher)


def test_no_batch_mixes_buckets_and_a_boundary_starts_the_next(drain, rows):
    buckets = batcher(min_size=2, max_size=2)
    buckets.add(rows([1, 200, 9, 10, 100, 99]), 0.0)
    found = [*drain(buckets, 0.0), *drain(buckets)]
    assert sorted(sorted(b.rows.sizes) for b in found) == [[1, 9], [10, 99], [100, 200]]


def test_real_and_padded_lengths_are_told(drain, rows):
    buckets = batcher(min_size=3, max_size=3)
    buckets.add(rows([2, 4, 8]), 0.0)
    (batch,) = drain(buckets, 0.0)
    assert (batch.real, batch.padded) == (14, 24)


def test_a_rare_length_is_released_when_too_much_waits_behind_it(drain, rows):
    buckets = batcher(lookahead=1, min_size=4, max_size=4)
    buckets.add(rows([500]), 0.0)  # Nothing of this length follows.
    buckets.add(rows([1, 1, 1], start=1), 1.0)
    assert [(list(b.rows.index), b.reason) for b in drain(buckets, 1.0)] == []
    buckets.add(rows([50], start=4), 2.0)
    assert [(list(b.rows.index), b.reason) for b in drain(buckets, 2.0)] == [([0], "bucket")]


def test_the_padded_area_is_limited(drain, rows):
    buckets = batcher(max_weight=40)
    buckets.add(rows([5, 5, 5, 9, 9, 9, 9]), 0.0)
    found = [*drain(buckets, 0.0), *drain(buckets)]
    assert sum(len(b.rows) for b in found) == 7
    assert all(b.padded <= 40 for b in found)


def test_a_row_above_the_area_goes_alone(drain, rows):
    buckets = batcher(max_weight=40)
    buckets.add(rows([500, 1, 600]), 0.0)
    assert sorted(list(b.rows.index) for b in [*drain(buckets, 0.0), *drain(buckets)]) == [[0], [1], [2]]


def test_the_bucket_of_the_oldest_row_goes_at_its_deadline(drain, rows):
    buckets = batcher(delay=5.0, min_size=4, max_size=4)
    buckets.add(rows([50]), 1.0)
    buckets.add(rows([1], start=1), 3.0)
    assert buckets.next_deadline() == 6.0
    assert [(list(b.rows.index), b.reason) for b in drain(buckets, 6.0)] == [([0], "deadline")]
    assert buckets.next_deadline() == 8.0


def test_rows_left_in_a_bucket_keep_their_own_deadline(drain, rows):
    buckets = batcher(delay=5.0, min_size=4, max_size=4)
    buckets.add(rows([1] * 6), 1.0)
    buckets.add(rows([1], start=6), 4.0)
    assert [list(b.rows.index) for b in drain(buckets, 4.0)] == [[0, 1, 2, 3]]
    assert buckets.next_deadline() == 6.0  # Row 4 came at 1.0.


def test_rows_of_length_0_do_not_make_an_endless_batch(drain, rows):
    buckets = batcher()
    buckets.add(rows([0] * 50_000), 0.0)
    assert max(len(b.rows) for b in [*drain(buckets, 0.0), *drain(buckets)]) <= 4096
