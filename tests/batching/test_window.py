"""Batches of rows of like length, out of a sorted window."""

import numpy as np
import pytest

from runinference.batching import WindowBatcher, make_batcher, make_limit
from runinference.options import BatchPolicy

pytestmark = pytest.mark.core


def batcher(delay=None, **policy):
    policy = BatchPolicy(length_fn=int, max_delay_s=delay, **policy)
    found = make_batcher(policy, make_limit(policy))
    assert isinstance(found, WindowBatcher)
    return found


@pytest.mark.parametrize(
    ("policy", "least"), [({"max_weight": 8192}, 0.9), ({}, 0.9), ({"min_size": 32, "max_size": 32}, 0.7)]
)
def test_most_tokens_are_real(policy, least, drain, rows):
    window = batcher(**policy)
    lengths = np.random.default_rng(7).lognormal(4.5, 0.8, 20_000).astype(int).clip(1, 2048).tolist()
    found = []
    for start in range(0, len(lengths), 64):
        window.add(rows(lengths[start : start + 64], start), 0.0)
        found += drain(window, 0.0)
    found += drain(window)
    assert sorted(i for b in found for i in b.rows.index) == list(range(20_000))
    assert sum(b.real for b in found) == sum(lengths)
    assert sum(b.real for b in found) / sum(b.padded for b in found) >= least


def test_rows_of_a_batch_keep_the_order_of_the_input(drain, rows):
    window = batcher(max_weight=100)
    window.add(rows([7, 3, 9, 1, 5]), 0.0)
    assert [list(b.rows.index) for b in drain(window)] == [[0, 1, 2, 3, 4]]


def test_the_longest_rows_go_first(drain, rows):
    window = batcher(min_size=2, max_size=2)
    window.add(rows([1, 9, 2, 8]), 0.0)
    assert [b.rows.sizes for b in drain(window)] == [[9, 8], [1, 2]]


def test_a_row_above_the_area_goes_alone(drain, rows):
    window = batcher(max_weight=20)
    window.add(rows([1, 500, 400, 2]), 0.0)
    assert [list(b.rows.index) for b in drain(window)] == [[1], [2], [0, 3]]


def test_the_padded_area_never_exceeds_its_limit(drain, rows):
    window = batcher(max_weight=100)
    lengths = np.random.default_rng(3).integers(1, 100, 1000).tolist()
    window.add(rows(lengths), 0.0)
    assert all(b.padded <= 100 for b in [*drain(window, 0.0), *drain(window)])


def test_a_window_is_cut_when_it_holds_enough_full_batches(drain, rows):
    policy = BatchPolicy(length_fn=int, min_size=2, max_size=2)
    window = WindowBatcher(make_limit(policy), lookahead=3)
    window.add(rows([1] * 5), 0.0)
    assert drain(window, 0.0) == []
    window.add(rows([1], start=5), 0.0)
    assert [b.reason for b in drain(window, 0.0)] == ["full"] * 3


def test_a_limit_that_grows_or_shrinks_holds_for_the_rest_of_the_window(rows):
    policy = BatchPolicy(length_fn=int)
    limit = make_limit(policy)
    window = WindowBatcher(limit)
    window.add(rows([16] * 1500), 0.0)
    assert window.poll(0.0).padded == 512
    limit.tuner.size = 1024
    assert window.poll(0.0).padded == 1024
    limit.tuner.out_of_memory(1024)
    assert window.poll(0.0).padded == 512


def test_the_window_is_cut_at_the_deadline_of_its_oldest_row(drain, rows):
    window = batcher(delay=5.0, max_weight=1000)
    window.add(rows([3]), 1.0)
    window.add(rows([4], start=1), 4.0)
    assert window.next_deadline() == 6.0
    assert drain(window, 5.9) == []
    (batch,) = drain(window, 6.0)
    assert (list(batch.rows.index), batch.reason, batch.since) == ([0, 1], "deadline", 1.0)


def test_rows_of_length_0_do_not_make_an_endless_batch(drain, rows):
    window = batcher()
    window.add(rows([0] * 50_000), 0.0)
    assert max(len(b.rows) for b in [*drain(window, 0.0), *drain(window)]) <= 4096
