"""The timeline: points at growing distances, bounded in number."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from runinference.report.timeline import FIRST_INTERVAL_S, MOST_POINTS, Timeline


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_points_say_how_far_a_run_was_and_when():
    clock, counts = Clock(), iter([(0, 0, 0, 0.0), (5, 1, 2, 0.5)])
    timeline = Timeline(lambda: next(counts), clock=clock)
    timeline.take()
    clock.now = 2.0
    timeline.take()
    assert timeline.points == [(0.0, 0, 0, 0, 0.0), (2.0, 5, 1, 2, 0.5)]


def test_a_long_run_keeps_a_bounded_number_of_points_at_equal_distances():
    clock = Clock()
    timeline = Timeline(lambda: (0, 0, 0, 0.0), clock=clock)
    while clock.now < 10 * 24 * 3600:
        timeline.take()
        assert len(timeline.points) <= MOST_POINTS
        clock.now += timeline.interval_s
    distances = [later.elapsed_s - earlier.elapsed_s for earlier, later in pairwise(timeline.points)]
    assert distances == pytest.approx([timeline.interval_s] * len(distances))
    assert timeline.points[0].elapsed_s == 0
    assert timeline.interval_s > FIRST_INTERVAL_S
    assert len(timeline.points) >= MOST_POINTS // 2 - 1


def test_a_thread_takes_points_until_the_end_and_ends_then():
    looked, enough = [], threading.Event()

    def look():
        looked.append(None)
        if len(looked) >= 3:
            enough.set()
        return len(looked), 0, 0, 0.0

    with Timeline(look) as timeline:
        assert enough.wait(30)
    assert timeline.points[0].done == 1
    assert timeline.points[-1].done == len(looked) >= 4
    assert "runinference-timeline" not in {thread.name for thread in threading.enumerate()}
