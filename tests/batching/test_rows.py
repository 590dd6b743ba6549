"""Runs of rows: cut, picked and joined, as lists, arrays and results made on demand."""

import numpy as np
import pytest

from runinference.batching import ReadyMadeBatcher, Rows
from runinference.batching.zipped import Zipped

pytestmark = pytest.mark.core


def run_of(start, stop, **more):
    return Rows(list(range(start, stop)), range(start, stop), **more)


def test_a_cut_takes_everything_along():
    rows = Rows(["a", "b", "c"], range(5, 8), originals=["A", "B", "C"], sizes=[1, 2, 3]).cut(1, 3)
    assert (rows.data, list(rows.index), rows.originals, rows.sizes) == (["b", "c"], [6, 7], ["B", "C"], [2, 3])
    assert rows.original(0) == "B"


def test_picked_rows_come_in_the_order_asked_for():
    rows = Rows(np.array([[0, 0], [1, 1], [2, 2]]), range(3), sizes=[5, 6, 7]).pick([2, 0])
    assert rows.data.tolist() == [[2, 2], [0, 0]]
    assert (list(rows.index), rows.sizes) == ([2, 0], [7, 5])


def test_runs_that_follow_each_other_join_to_a_range():
    joined = Rows.join([run_of(0, 2), run_of(2, 5)])
    assert joined.index == range(5)
    assert joined.data == [0, 1, 2, 3, 4]


def test_runs_with_a_gap_join_to_their_positions():
    assert list(Rows.join([run_of(0, 2), run_of(3, 4)]).index) == [0, 1, 3]


def test_joining_does_not_change_the_runs():
    first = run_of(0, 2, sizes=[1, 1])
    Rows.join([first, run_of(2, 4, sizes=[2, 2])])
    assert (first.data, first.sizes) == ([0, 1], [1, 1])


def test_cutting_an_array_copies_nothing():
    array = np.arange(20).reshape(10, 2)
    assert np.shares_memory(Rows(array, range(10)).cut(2, 5).data, array)


def test_ready_made_batches_pass_as_they_are():
    batcher = ReadyMadeBatcher()
    batcher.add(run_of(0, 3), 0.0)
    batcher.add(run_of(3, 3), 0.0)
    batcher.add(run_of(3, 4), 0.0)
    assert [batcher.poll(0.0).rows.data, batcher.flush().rows.data] == [[0, 1, 2], [3]]
    assert (batcher.poll(0.0), batcher.flush(), batcher.next_deadline()) == (None, None, None)


def test_rows_made_on_demand_are_sliced_and_read_again():
    zipped = Zipped(tuple, (["a", "b", "c"], [1, 2, 3]))
    assert (len(zipped), zipped[1], zipped[-1]) == (3, ("b", 2), ("c", 3))
    assert list(zipped[1:]) == [("b", 2), ("c", 3)]
    assert list(zipped) == list(zipped)


def test_columns_of_unequal_length_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        list(Zipped(tuple, ([1, 2], [1])))
