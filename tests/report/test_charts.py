"""The charts and what they are made from."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from runinference.metrics import Distribution
from runinference.report import charts
from runinference.report.histogram import Bar, ranges, single_values
from runinference.report.timeline import Point

from .conftest import curve


def filled(values):
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    return distribution


def test_few_values_have_a_bar_each():
    assert single_values(filled([8, 8, 64])) == [Bar(8.0, 8.0, 2), Bar(64.0, 64.0, 1)]


def test_many_values_share_bars_that_lose_none():
    bars = single_values(filled(range(1, 500)))
    assert len(bars) == 20
    assert sum(bar.batches for bar in bars) == pytest.approx(499)
    assert bars[-1].high == pytest.approx(499)
    assert [bar.high for bar in bars[:-1]] == pytest.approx([bar.low for bar in bars[1:]])


def test_values_that_are_alike_are_one_bar():
    assert [bar.batches for bar in ranges(filled([5.0] * 3))] == [3]


def test_without_values_there_is_no_bar_and_no_chart():
    assert ranges(filled([])) == single_values(filled([])) == []
    assert charts.distribution([], "rows", "sizes", "") is None


def test_time_of_a_long_call_goes_to_the_steps_in_which_it_ran():
    steps = [Point(at, 0, 0, 1, model_s) for at, model_s in [(0, 0), (1, 0.5), (2, 0.5), (3, 2.5)]]
    assert charts.busy_shares(steps, 1) == [0.5, 1.0, 1.0]
    assert charts.busy_shares(steps, 2) == [0.25, 0.0, 1.0]


@pytest.mark.parametrize("points", [[], curve(0), curve(1)[:2], [Point(i, 0, 0) for i in range(9)]])
def test_a_run_that_is_too_short_or_without_rows_has_no_curve(points):
    assert charts.throughput(points, charts.WIDE, "wide") is None


@pytest.mark.parametrize(
    "chart",
    [
        charts.throughput(curve(), charts.WIDE, "wide"),
        charts.model_busy(curve(), 1, charts.NARROW, "busy"),
        charts.distribution(single_values(filled([8, 64])), "rows", "sizes", "How many"),
        charts.distribution(ranges(filled(range(1, 90))), "µs", "latencies", "How many"),
    ],
    ids=["throughput", "busy", "sizes", "latencies"],
)
def test_a_chart_is_svg_with_text_in_the_colours_of_the_page_that_loads_nothing(chart):
    root = ET.fromstring(chart)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    texts = [element.text for element in root.iter("text")]
    assert len(texts) >= 4
    assert not re.search(r"https?:|<style|<script|<!", chart)
    assert not re.search(r"(fill|stroke): #", chart)
    assert set(re.findall(r"href=\"(.)", chart)) <= {"#"}


def test_charts_of_one_page_share_no_identifier():
    wide, narrow = (charts.throughput(curve(), size, name) for name, size in [("a", charts.WIDE), ("b", charts.NARROW)])
    found = [set(re.findall(r'\bid="([^"]+)', chart)) for chart in (wide, narrow)]
    assert not found[0] & found[1]
