"""Whether threads pay, decided from timings given as numbers."""

import pytest

from runinference.engine.overlap import OverlapChoice
from runinference.engine.timings import Timings

pytestmark = pytest.mark.core


class Clock:
    def __init__(self, choice):
        self.choice, self.now = choice, 0.0

    def run(self, batches, timings, seconds=None, rows=100, settled=True):
        """So many batches that took `seconds` each."""
        for _ in range(batches):
            self.now += timings.total() if seconds is None else seconds
            self.choice.record(rows, timings, self.now, settled)


def idle_cores():
    """A choice on four cores that have nothing else to do."""
    return OverlapChoice(4, cpu_s=lambda: 0.0)


BALANCED = Timings(preprocess=0.02, inference=0.02, postprocess=0.01)


def test_it_starts_without_threads():
    assert not idle_cores().overlap


def test_steps_that_take_their_time_are_overlapped():
    choice = idle_cores()
    Clock(choice).run(6, BALANCED)
    assert choice.overlap


def test_overlapping_that_pays_is_kept():
    choice = idle_cores()
    clock = Clock(choice)
    clock.run(6, BALANCED)
    assert choice.overlap
    clock.run(200, BALANCED, seconds=0.02)
    assert choice.overlap


def test_overlapping_that_does_not_pay_is_given_up_for_good():
    """As where every step holds the interpreter lock."""
    choice = idle_cores()
    clock = Clock(choice)
    clock.run(6, BALANCED)
    assert choice.overlap
    clock.run(20, BALANCED, seconds=0.055)
    assert not choice.overlap
    clock.run(1000, BALANCED)
    assert not choice.overlap


@pytest.mark.parametrize(
    "timings",
    [
        Timings(inference=0.05),
        Timings(preprocess=0.0001, inference=0.05),
        Timings(wait=0.05, inference=0.001),
        Timings(inference=0.00002, preprocess=0.00001),
    ],
)
def test_where_little_can_be_gained_no_thread_is_tried(timings):
    choice = idle_cores()
    clock = Clock(choice)
    for _ in range(5000):
        clock.run(1, timings)
        assert not choice.overlap


def test_a_slow_consumer_is_overlapped_with_the_model():
    choice = idle_cores()
    Clock(choice).run(6, Timings(inference=0.02, consumer=0.02))
    assert choice.overlap


def test_short_batches_are_not_judged_before_their_size_settled():
    choice = idle_cores()
    clock = Clock(choice)
    short = Timings(preprocess=0.004, inference=0.004)
    clock.run(100, short, settled=False)
    assert not choice.overlap
    clock.run(10, short)
    assert choice.overlap


def test_the_first_batch_does_not_count():
    choice = idle_cores()
    clock = Clock(choice)
    clock.run(1, Timings(preprocess=5.0, inference=5.0))
    clock.run(4, Timings(inference=0.05))
    assert not choice.overlap


@pytest.mark.parametrize(("busy_cores", "overlapped"), [(1, True), (3, True), (3.9, False), (4, False)])
def test_beside_a_model_that_keeps_all_cores_busy_no_thread_is_tried(busy_cores, overlapped):
    choice = OverlapChoice(4, cpu_s=lambda: busy_cores * clock.now)
    clock = Clock(choice)
    clock.run(6, Timings(inference=0.04, consumer=0.01))
    assert choice.overlap is overlapped


def test_what_was_computed_before_the_steps_were_watched_does_not_count():
    choice = OverlapChoice(4, cpu_s=lambda: 1000.0)
    Clock(choice).run(6, BALANCED)
    assert choice.overlap
