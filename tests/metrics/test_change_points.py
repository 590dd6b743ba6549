"""Changes are found where there are some, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runinference.metrics.change_points import change_points

pytestmark = pytest.mark.core


def runs(rng, number, *, between=0.03, within=0.02, passes=5, steps=(), spikes=0.0, drag=0.0):
    """Run times as a machine of two cores gives them: each run is off, each pass a little more, some runs are slow."""
    noise = rng.normal(0, between, number)
    for at in range(1, number):
        noise[at] = drag * noise[at - 1] + np.sqrt(1 - drag**2) * noise[at]
    noise += (rng.random(number) < spikes) * rng.uniform(0.1, 0.5, number)
    for start, ratio in steps:
        noise[start:] += np.log(ratio)
    return [list(40 * np.exp(each + np.abs(rng.normal(0, within, passes)))) for each in noise]


def alarms(series):
    return sum(bool(change_points(each)) for each in series)


@pytest.mark.parametrize("number", [2, 3, 4, 6, 9, 15, 60])
@pytest.mark.parametrize(
    "noise", [{}, {"passes": 1}, {"between": 0.01}, {"between": 0.002, "within": 0.001}, {"drag": 0.3}], ids=str
)
def test_noise_alone_is_hardly_ever_a_change(number, noise):
    rng = np.random.default_rng(number)
    tried = 60
    assert alarms(runs(rng, number, **noise) for _ in range(tried)) <= 2


@pytest.mark.parametrize("number", [2, 3, 5])
def test_few_runs_whose_passes_are_far_apart_are_hardly_ever_a_change(number):
    rng = np.random.default_rng(number)
    assert alarms(runs(rng, number, between=0.2, within=0.3) for _ in range(60)) <= 4


def test_twice_the_usual_noise_is_rarely_a_change():
    rng = np.random.default_rng(1)
    assert alarms(runs(rng, 12, between=0.06) for _ in range(100)) <= 8


def test_single_slow_runs_are_no_change_once_another_run_follows():
    rng = np.random.default_rng(2)
    for _ in range(40):
        series = runs(rng, 30)
        for spike in (5, 17):
            series[spike] = [1.5 * value for value in series[spike]]
        assert change_points(series) == []


@pytest.mark.parametrize(("number", "start"), [(20, 10), (60, 30), (60, 57), (150, 75)])
@pytest.mark.parametrize("ratio", [1.1, 0.9])
def test_a_step_of_ten_percent_is_found_in_three_percent_of_noise(number, start, ratio):
    rng = np.random.default_rng(number + start)
    found = 0
    for _ in range(40):
        changes = change_points(runs(rng, number, steps=[(start, ratio)]))
        found += any(abs(change.index - start) <= 2 for change in changes)
        assert len(changes) <= 2
    assert found >= 28


def test_it_is_told_where_how_much_and_how_sure():
    rng = np.random.default_rng(3)
    (change,) = change_points(runs(rng, 60, between=0.01, steps=[(40, 1.2)]))
    assert change.index == 40
    assert change.low < 1.2 < change.high
    assert change.ratio == pytest.approx(1.2, rel=0.02)
    assert change.before == pytest.approx(40 * 1.016, rel=0.02)
    assert change.after / change.before == pytest.approx(change.ratio)
    assert change.runs_after == 20


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    changes = [change_points(runs(rng, 40, steps=[(20, 1.25)])) for _ in range(100)]
    found = [min(each, key=lambda change: abs(change.index - 20)) for each in changes]
    held = [change.low <= 1.25 <= change.high for change in found]
    assert 88 <= sum(held) <= 100


def test_several_changes_are_told_apart_the_oldest_first():
    rng = np.random.default_rng(5)
    series = runs(rng, 90, between=0.02, steps=[(30, 1.15), (50, 0.8), (70, 1.3)])
    assert [change.index for change in change_points(series)] == pytest.approx([30, 50, 70], abs=1)


@pytest.mark.parametrize("nights", [4, 6, 20])
def test_what_recovered_is_two_changes(nights):
    rng = np.random.default_rng(6)
    series = runs(rng, 60, between=0.02, steps=[(30, 1.3), (30 + nights, 1 / 1.3)])
    assert [change.index for change in change_points(series)] == [30, 30 + nights]


def test_steps_up_and_down_do_not_hide_one_another():
    rng = np.random.default_rng(8)
    series = [runs(rng, 80, steps=[(20, 1.1), (40, 1 / 1.1), (60, 1.1)]) for _ in range(20)]
    assert sum(len(change_points(each)) == 3 for each in series) >= 18


@pytest.mark.parametrize("number", [3, 5, 12, 60])
def test_the_newest_run_alone_is_told_when_it_is_far_from_all_before(number):
    rng = np.random.default_rng(number)
    series = runs(rng, number, between=0.01, steps=[(number - 1, 1.4)])
    (change,) = change_points(series)
    assert (change.index, change.runs_after) == (number - 1, 1)


def test_the_newest_run_is_not_told_when_its_own_passes_are_as_far_apart():
    steady = [[40.0, 40.2, 40.4]] * 8
    assert change_points([*steady, [60.0, 60.3, 60.6]])
    assert change_points([*steady, [30.0, 60.0, 61.0]]) == []


def test_less_than_the_least_effect_is_no_change_however_sure():
    series = [[100.0, 100.1]] * 100 + [[104.0, 104.1]] * 100
    assert change_points(series) == []
    assert [change.index for change in change_points(series, minimal_effect=0.03)] == [100]


def test_a_slow_drift_is_told_as_steps():
    series = [[100 * 1.004**night] for night in range(60)]
    changes = change_points(series)
    assert 1 <= len(changes) <= 6
    assert all(change.ratio > 1.05 for change in changes)


def test_runs_that_lack_the_metric_are_left_out_and_the_others_keep_their_place():
    rng = np.random.default_rng(7)
    series = runs(rng, 40, between=0.01, steps=[(20, 1.3)])
    for missing in (3, 19, 25):
        series[missing] = []
    series[30] = [float("nan"), -1.0, 0.0, float("inf")]
    assert [change.index for change in change_points(series)] == [20]


@pytest.mark.parametrize("series", [[], [[]], [[1.0]], [[1.0, 2.0]], [[1.0], [1.0]], [[5.0]] * 50, [[0.0]] * 9])
def test_there_may_be_nothing_to_compare(series):
    assert change_points(series) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(1e-9, 1e12), max_size=4), max_size=25), st.floats(1e-3, 1e3))
def test_any_numbers_give_changes_in_order_that_do_not_depend_on_the_unit(series, unit):
    changes = change_points(series)
    assert [change.index for change in changes] == sorted({change.index for change in changes})
    assert all(0 < change.low <= change.ratio <= change.high for change in changes)
    assert all(abs(np.log(change.ratio)) >= np.log(1.05) - 1e-9 for change in changes)
    scaled = change_points([[unit * value for value in run] for run in series])
    assert [change.index for change in scaled] == [change.index for change in changes]
