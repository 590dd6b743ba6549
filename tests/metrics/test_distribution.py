"""Distributions: exact where they can be, within 2 % where they cannot."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runinference.metrics import Distribution

pytestmark = pytest.mark.core

magnitudes = st.floats(min_value=1e-9, max_value=1e15)
values = st.one_of(magnitudes, magnitudes.map(lambda value: -value), st.just(0.0), st.integers(-1000, 1000))
several = st.lists(values, min_size=1, max_size=200)


def filled(numbers) -> Distribution:
    distribution = Distribution()
    for number in numbers:
        distribution.add(number)
    return distribution


def exact_quantile(numbers, q):
    return sorted(numbers)[max(1, math.ceil(q * len(numbers))) - 1]


@given(several, st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_two_percent_of_the_exact_one(numbers, q):
    expected = exact_quantile(numbers, q)
    assert abs(filled(numbers).quantile(q) - expected) <= 0.02 * abs(expected)


@given(several)
def test_count_sum_and_extremes_are_exact(numbers):
    distribution = filled(numbers)
    assert distribution.count == len(numbers)
    assert distribution.sum == math.fsum(numbers) or math.isclose(
        distribution.sum, math.fsum(numbers), rel_tol=1e-9, abs_tol=1e-9 * sum(map(abs, numbers))
    )
    assert (distribution.min, distribution.max) == (min(numbers), max(numbers))
    assert (distribution.quantile(0), distribution.quantile(1)) == (min(numbers), max(numbers))


@given(several, several, st.floats(min_value=0, max_value=1))
def test_merging_two_is_the_same_as_adding_everything_to_one(first, second, q):
    merged, single = filled(first), filled(first + second)
    merged.merge(filled(second))
    assert (merged.count, merged.min, merged.max) == (single.count, single.min, single.max)
    assert merged.sum == pytest.approx(single.sum, abs=1e-9 * sum(map(abs, first + second)))
    assert merged.quantile(q) == single.quantile(q)


@given(several, st.lists(st.floats(min_value=0, max_value=1), min_size=2, max_size=5))
def test_quantiles_never_fall_as_the_share_grows(numbers, shares):
    distribution = filled(numbers)
    found = [distribution.quantile(q) for q in sorted(shares)]
    assert found == sorted(found)


def test_adding_a_value_many_times_is_the_same_as_adding_it_often():
    at_once = Distribution()
    at_once.add(3.0, times=5)
    at_once.add(99.0, times=0)
    assert at_once == filled([3.0] * 5)


def test_an_empty_distribution_has_no_statistics_and_no_nan():
    empty = Distribution()
    assert (empty.count, empty.sum) == (0, 0.0)
    assert [empty.min, empty.max, empty.mean, empty.quantile(0.5)] == [None] * 4


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_finite_number_is_left_out_and_counted(odd):
    distribution = filled([1.0, 2.0])
    distribution.add(odd, times=3)
    assert (distribution.count, distribution.sum, distribution.max) == (2, 3.0, 2.0)
    assert distribution.ignored == 3
    other = Distribution()
    other.merge(distribution)
    assert other.ignored == 3


def test_memory_stays_bounded_and_the_large_values_stay_exact_enough():
    numbers = [10.0 ** (exponent / 10) for exponent in range(-3000, 3000)]
    distribution = filled(numbers)
    for _ in range(3):
        distribution.merge(distribution.copy())
    assert len(pickle.dumps(distribution)) < 100_000
    assert distribution.quantile(0.99) == pytest.approx(exact_quantile(numbers, 0.99), rel=0.02)
    assert distribution.min == numbers[0]


@pytest.mark.parametrize("extreme", [5e-324, 1.7e308, -1.7e308, 2.3e-308])
def test_the_ends_of_the_number_range_are_accepted(extreme):
    distribution = filled([extreme, extreme, extreme])
    assert distribution.quantile(0.5) == extreme


def test_merging_with_itself_doubles_it():
    distribution = filled([1.0, -2.0, 0.0])
    distribution.merge(distribution)
    assert distribution == filled([1.0, -2.0, 0.0] * 2)


def test_a_copy_is_independent():
    original = filled([1.0])
    twin = original.copy()
    twin.add(2.0)
    assert (original.count, twin.count) == (1, 2)


def test_it_survives_pickling():
    distribution = filled([1.0, -5.0, 0.0, math.nan])
    assert pickle.loads(pickle.dumps(distribution)) == distribution


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, not at 95"):
        Distribution().quantile(95)
    with pytest.raises(ValueError, match=r"-1 times; times must be 0 or more"):
        Distribution().add(1.0, times=-1)


@given(several)
def test_buckets_hold_every_value_once_in_order(numbers):
    buckets = filled(numbers).buckets()
    assert sum(count for _, _, count in buckets) == len(numbers)
    assert all(low <= high for low, high, _ in buckets)
    assert [high for _, high, _ in buckets] == sorted(high for _, high, _ in buckets)
    for number in numbers:
        assert any(low * (1 - 1e-9 * (low > 0)) <= number <= high * (1 - 1e-9 * (high < 0)) for low, high, _ in buckets)


@given(several)
def test_a_bucket_is_less_than_two_percent_wide(numbers):
    for low, high, _ in filled(numbers).buckets():
        assert high - low <= 0.02 * max(abs(low), abs(high))


def test_the_bucket_of_a_value_that_repeats_says_it_exactly():
    sizes = filled([8, 8, 64, 64, 64, 0, -3])
    assert [(low, count) for low, _, count in sizes.buckets()[:1]] == [(-3.0, 1)]
    assert [(high, count) for _, high, count in sizes.buckets()[1:]] == [(0.0, 1), (8.0, 2), (64.0, 3)]


def test_without_values_there_are_no_buckets():
    assert Distribution().buckets() == []


def test_a_bucket_that_took_in_others_reaches_down_to_zero():
    distribution = filled(1.02**exponent for exponent in range(-5000, 5000))
    (low, _, first), *others = distribution.buckets()
    assert low == 0.0
    assert first + sum(count for _, _, count in others) == 10000
