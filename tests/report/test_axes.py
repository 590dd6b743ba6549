"""Where the marks of axes are, and what they are called."""

from __future__ import annotations

import pytest

from runinference.report.website.axes import time_axis, value_axis

MARCH = 1_773_446_400.0  # 2026-03-14 00:00 UTC, a Saturday.
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def names(axis):
    return [name for _, name in axis.marks]


@pytest.mark.parametrize(
    ("low", "high", "unit", "expected"),
    [
        (3.0, 41.0, "s", ["0 s", "10 s", "20 s", "30 s", "40 s", "50 s"]),
        (40.0, 41.0, "s", ["36 s", "38 s", "40 s", "42 s", "44 s", "46 s"]),
        (100.0, 900.0, "s", ["0 min", "5 min", "10 min", "15 min"]),
        (0.1, 0.4, "ms", ["0 µs", "100 µs", "200 µs", "300 µs", "400 µs"]),
        (1e6, 3e6, "µs", ["0 s", "1 s", "2 s", "3 s"]),
        (9e8, 1.6e9, "bytes", ["0.8 GB", "1.0 GB", "1.2 GB", "1.4 GB", "1.6 GB"]),
        (1e5, 9e5, "bytes/s", ["0 kB/s", "200 kB/s", "400 kB/s", "600 kB/s", "800 kB/s", "1,000 kB/s"]),
        (0.93, 0.95, "ratio", ["80 %", "85 %", "90 %", "95 %", "100 %"]),
        (1.0, 1.0, "ratio", ["90 %", "95 %", "100 %"]),
        (2.7, 3.4, "times", ["0×", "1×", "2×", "3×", "4×"]),
        (0.0001, 0.0004, "USD", ["$0.0000", "$0.0001", "$0.0002", "$0.0003", "$0.0004"]),
        (2e3, 3e4, "elements/s", ["0k", "10k", "20k", "30k"]),
        (0.0, 0.0, "rows", ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (-5.0, 5.0, "", ["-6", "-4", "-2", "0", "2", "4", "6"]),
    ],
)
def test_values_are_marked_at_round_numbers_in_a_unit_that_suits_them(low, high, unit, expected):
    axis = value_axis(low, high, unit)
    assert names(axis) == expected
    assert axis.low <= low <= high <= axis.high


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, ["14 Mar 2026, 00:00"]),
        (20 * MINUTE, ["14 Mar, 00:00", "00:05", "00:10", "00:15", "00:20"]),
        (5 * HOUR, ["14 Mar, 00:00", "01:00", "02:00", "03:00", "04:00", "05:00"]),
        (2 * DAY, ["14 Mar, 00:00", "12:00", "15 Mar", "12:00", "16 Mar"]),
        (6 * DAY, ["14 Mar 2026", "16 Mar", "18 Mar", "20 Mar"]),
        (40 * DAY, ["16 Mar 2026", "23 Mar", "30 Mar", "6 Apr", "13 Apr", "20 Apr"]),
        (180 * DAY, ["Apr 2026", "May", "Jun", "Jul", "Aug", "Sep"]),
        (400 * DAY, ["May 2026", "Jul", "Sep", "Nov", "Jan 2027", "Mar"]),
        (2000 * DAY, ["2027", "2028", "2029", "2030", "2031"]),
        (70_000 * DAY, ["2050", "2100", "2150", "2200"]),
    ],
)
def test_times_are_marked_at_round_times(seconds, expected):
    axis = time_axis(MARCH, MARCH + seconds, 6)
    assert names(axis) == expected
    assert axis.low < MARCH
    assert MARCH + seconds < axis.high


def test_runs_within_a_minute_are_apart_and_have_a_mark():
    axis = time_axis(MARCH + 5, MARCH + 25, 6)
    assert len(axis.marks) >= 1
    assert axis.place(MARCH + 25, 0, 1000) - axis.place(MARCH + 5, 0, 1000) > 100
