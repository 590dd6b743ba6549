"""Where memory ends without anybody having said so, the size finds the end and stays below it."""

import pytest

from runinference.batching import SizeTuner

pytestmark = pytest.mark.core


def run(tuner, cap, batches=150):
    """Batches whose cost is all overhead, so that larger is better up to the cap; says how many did not fit."""
    failures = 0
    for _ in range(batches):
        if tuner.size > cap:
            failures += 1
            part = tuner.size
            while part // 2 > cap:
                part //= 2
            tuner.out_of_memory(part)
        else:
            tuner.record(tuner.size, 1e-3)
    return failures


@pytest.mark.parametrize("cap", [100, 37, 1, 1000, 5])
def test_it_comes_close_to_a_hidden_cap_with_few_failures(cap):
    tuner = SizeTuner(8)
    assert run(tuner, cap) <= 8
    assert 0.9 * cap <= tuner.size <= cap
    assert tuner.limited_by_memory
    assert "ran out of memory" in tuner.reason


def test_it_follows_a_cap_that_falls():
    tuner = SizeTuner(8)
    run(tuner, 400)
    assert run(tuner, 50) <= 10
    assert 45 <= tuner.size <= 50


def test_it_follows_a_cap_that_rises_again():
    tuner = SizeTuner(8)
    run(tuner, 37)
    run(tuner, 500, batches=600)
    assert 450 <= tuner.size <= 500


def test_a_fixed_size_backs_off_too_and_comes_back():
    tuner = SizeTuner(64, largest=64, fixed=True)
    run(tuner, 20, batches=100)
    assert 18 <= tuner.size <= 20
    run(tuner, 1000, batches=600)
    assert tuner.size == 64


def test_failures_stay_rare_over_a_long_run():
    tuner = SizeTuner(8)
    assert run(tuner, 37, batches=10_000) <= 300
