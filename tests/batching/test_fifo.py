"""Batches in the order of the rows: fixed, smallest and largest size, weight, deadline."""

import pytest

from runinference.batching import Rows, make_batcher, make_limit
from runinference.options import BatchPolicy

pytestmark = pytest.mark.core


def batcher(**policy):
    policy = BatchPolicy(**policy)
    return make_batcher(policy, make_limit(policy))


def numbers(count, start=0):
    return Rows(list(range(start, start + count)), range(start, start + count))


def test_a_fixed_size_is_kept_but_for_the_end(drain):
    fixed = batcher(min_size=4, max_size=4)
    fixed.add(numbers(10), 0.0)
    assert [(list(b.rows.index), b.reason, b.fill) for b in drain(fixed, 1e9)] == [
        ([0, 1, 2, 3], "full", 1.0),
        ([4, 5, 6, 7], "full", 1.0),
    ]
    assert [(list(b.rows.index), b.reason, b.fill) for b in drain(fixed)] == [([8, 9], "end", 0.5)]


def test_no_batch_exceeds_the_largest_size_while_the_size_tunes_itself(drain):
    tuned = batcher(max_size=6)
    tuned.add(numbers(20), 0.0)
    assert [len(b.rows) for b in [*drain(tuned, 0.0), *drain(tuned)]] == [6, 6, 6, 2]


def test_the_smallest_size_is_waited_for_while_rows_are_coming(drain):
    tuned = batcher(min_size=32)
    tuned.add(numbers(31), 0.0)
    assert drain(tuned, 1e9) == []
    tuned.add(numbers(1, 31), 1e9)
    assert [len(b.rows) for b in drain(tuned, 1e9)] == [32]


def test_rows_that_came_in_several_runs_are_joined_in_order(drain):
    fixed = batcher(min_size=5, max_size=5)
    for start in range(0, 9, 3):
        fixed.add(numbers(3, start), 0.0)
    batches = [*drain(fixed, 0.0), *drain(fixed)]
    assert [b.rows.data for b in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
    assert all(isinstance(b.rows.index, range) for b in batches)


def test_the_weight_closes_a_batch_before_it_is_exceeded(drain, rows):
    weighted = batcher(max_weight=10, min_size=100, max_size=100, element_size_fn=int)
    weighted.add(rows([4, 4, 4, 10, 1, 9, 3]), 0.0)
    assert [(list(b.rows.index), b.reason) for b in drain(weighted, 0.0)] == [
        ([0, 1], "memory"),
        ([2], "memory"),
        ([3], "memory"),
        ([4, 5], "memory"),
    ]
    assert [list(b.rows.index) for b in drain(weighted)] == [[6]]


def test_a_row_above_the_weight_goes_alone_and_does_not_loop(drain, rows):
    weighted = batcher(max_weight=10, min_size=100, max_size=100, element_size_fn=int)
    weighted.add(rows([1, 50, 1, 60]), 0.0)
    found = [*drain(weighted, 0.0), *drain(weighted)]
    assert [list(b.rows.index) for b in found] == [[0], [1], [2], [3]]
    assert all(0 < b.fill <= 1 for b in found)


def test_rows_and_weight_limit_together(drain, rows):
    both = batcher(max_weight=10, min_size=3, max_size=3, element_size_fn=int)
    both.add(rows([1, 1, 1, 9, 9, 1]), 0.0)
    assert [len(b.rows) for b in [*drain(both, 0.0), *drain(both)]] == [3, 1, 2]


def test_the_deadline_counts_from_the_oldest_row(drain):
    waiting = batcher(min_size=10, max_size=10, max_delay_s=5.0)
    waiting.add(numbers(1), 100.0)
    waiting.add(numbers(1, 1), 104.0)
    assert waiting.next_deadline() == 105.0
    assert drain(waiting, 104.9) == []
    (late,) = drain(waiting, 105.0)
    assert (list(late.rows.index), late.reason, late.since) == ([0, 1], "deadline", 100.0)
    assert waiting.next_deadline() is None


def test_rows_left_behind_keep_their_own_deadline(drain):
    waiting = batcher(min_size=3, max_size=3, max_delay_s=5.0)
    waiting.add(numbers(2), 1.0)
    waiting.add(numbers(2, 2), 2.0)
    assert [len(b.rows) for b in drain(waiting, 2.0)] == [3]
    assert waiting.next_deadline() == 7.0


def test_a_delay_of_zero_holds_nothing_back(drain):
    eager = batcher(min_size=10, max_size=10, max_delay_s=0.0)
    eager.add(numbers(3), 1.0)
    assert [len(b.rows) for b in drain(eager, 1.0)] == [3]


def test_without_rows_there_is_no_batch_and_no_deadline(drain):
    empty = batcher(max_delay_s=1.0)
    empty.add(numbers(0), 0.0)
    assert (drain(empty, 1e9), drain(empty), empty.next_deadline()) == ([], [], None)


def test_the_room_never_asks_for_more_than_a_batch_needs():
    fixed = batcher(min_size=8, max_size=8)
    assert fixed.room == 8
    fixed.add(numbers(5), 0.0)
    assert fixed.room == 3
