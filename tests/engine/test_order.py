"""Results in the order of the input, whatever the order of the batches."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runinference import infer
from runinference.batching import Rows
from runinference.engine.order import Ordered, Ready, Unordered
from runinference.engine.stages import Outcome
from runinference.prediction import Failure
from runinference.testing.fakes import CountingHandler, FailingHandler

pytestmark = pytest.mark.core


def outcome(positions, failed=()):
    good = [p for p in positions if p not in failed]
    consecutive = range(good[0], good[-1] + 1) if good and good == list(range(good[0], good[-1] + 1)) else good
    failures = [Failure.from_exception(ValueError(), example=p, index=p, stage="inference") for p in failed]
    return Outcome(Rows(good, consecutive), [f"r{p}" for p in good], failures)


def push_all(order, outcomes):
    results, failures = [], []
    for each in outcomes:
        ready = order.push(each)
        if ready is not None:
            assert len(ready.rows) == len(ready.results)
            assert list(ready.results) == [f"r{p}" for p in ready.rows.index]
            results += ready.rows.index
            failures += [failure.index for failure in ready.failures]
    return results, failures


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_partition_in_any_order_comes_out_sorted(data):
    count = data.draw(st.integers(1, 40))
    owner = data.draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    failed = data.draw(st.sets(st.integers(0, count - 1)))
    groups = [[p for p in range(count) if owner[p] == g] for g in set(owner)]
    outcomes = [outcome(group, sorted(failed & set(group))) for group in data.draw(st.permutations(groups))]
    results, failures = push_all(Ordered(), outcomes)
    assert results == [p for p in range(count) if p not in failed]
    assert failures == sorted(failed)


def test_every_permutation_of_small_batches_comes_out_sorted():
    batches = [[0, 1], [2], [3, 4, 5], [6]]
    for order in itertools.permutations(batches):
        results, failures = push_all(Ordered(), [outcome(batch, [4] if 4 in batch else []) for batch in order])
        assert (results, failures) == ([0, 1, 2, 3, 5, 6], [4])


def test_nothing_is_held_once_its_turn_has_come():
    order = Ordered()
    assert order.push(outcome([2, 3])) is None
    assert list(order.push(outcome([0, 1])).rows.index) == [0, 1, 2, 3]


def test_unordered_results_pass_at_once():
    assert push_all(Unordered(), [outcome([4, 5]), outcome([0], [1])]) == ([4, 5, 0], [1])


def test_the_part_before_a_row_is_cut_off():
    part = Ready(Rows([5, 6, 9], [5, 6, 9]), ["a", "b", "c"]).before(9)
    assert (list(part.rows.index), part.results) == ([5, 6], ["a", "b"])


SHUFFLED = random.Random(5).choices(range(1, 201), k=3000)


def by_length(**options):
    return CountingHandler(batch_length_fn=int, max_batch_weight=400, **options)


@pytest.mark.parametrize("workers", [0, 2, None])
@pytest.mark.parametrize("options", [{}, {"batch_bucket_boundaries": [20, 80, 150]}])
def test_batches_by_length_do_not_change_the_order(options, workers):
    assert [result.example for result in infer(SHUFFLED, by_length(**options), workers=workers)] == SHUFFLED


def test_unordered_results_are_the_same_in_another_order():
    results = [result.example for result in infer(SHUFFLED, by_length(), ordered=False)]
    assert results != SHUFFLED
    assert sorted(results) == sorted(SHUFFLED)


def test_failures_of_batches_by_length_come_in_order():
    failures = []
    handler = FailingHandler(lambda row: row % 50 == 0, batch_length_fn=int, max_batch_weight=400)
    results = [result.example for result in infer(SHUFFLED, handler, on_failure=failures.append)]
    assert results == [row for row in SHUFFLED if row % 50]
    assert [failure.index for failure in failures] == [i for i, row in enumerate(SHUFFLED) if row % 50 == 0]
