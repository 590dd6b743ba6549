"""The size of batches, learnt from cost models instead of a clock."""

import pytest

from runinference.batching import SizeTuner

pytestmark = pytest.mark.core


def run(tuner, cost, batches=400, nbytes_of_row=0):
    """Feeds a tuner batches of the size that it asks for; says how many it took to settle."""
    for count in range(batches):
        if tuner.settled:
            return count
        tuner.record(tuner.size, cost(tuner.size), tuner.size * nbytes_of_row)
    return None


QUICK = 0.002


def knee(a, b):
    """The size whose doubling gains 5 % in rows per second when a batch of n takes a + b·n."""
    return 9.5 * a / b


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1e-3, 1e-3),
        (5e-3, 2.3e-5),
        (1e-2, 7e-4),
        (1e-3, 1e-4),
        (1e-2, 1e-4),
        (1e-4, 1e-6),
        (1e-5, 1e-6),
    ],
)
def test_it_settles_within_a_factor_of_two_of_the_knee(a, b):
    tuner = SizeTuner(8)
    assert run(tuner, lambda n: a + b * n) is not None
    # A batch of less than 2 ms grows in steps of 16; no smaller one is worth looking for.
    assert knee(a, b) / 2 <= tuner.size <= max(2 * knee(a, b), 16 * QUICK / b)
    assert "gained less than 5 %" in tuner.reason


def test_a_cost_without_overhead_stays_at_the_start():
    tuner = SizeTuner(8)
    assert run(tuner, lambda n: 1e-4 * n) is not None
    assert tuner.size == 8


def test_a_cost_that_is_all_overhead_goes_to_the_largest_size():
    tuner = SizeTuner(8, largest=1000)
    assert run(tuner, lambda n: 1e-3) is not None
    assert (tuner.size, tuner.reason) == (1000, "the largest size allowed")


def test_it_settles_after_few_batches_and_seldom_tries_another_size_then():
    tuner = SizeTuner(8)
    assert run(tuner, lambda n: 1e-3 + 1e-5 * n) <= 100
    sizes = []
    for _ in range(1000):
        sizes.append(tuner.size)
        tuner.record(tuner.size, 1e-3 + 1e-5 * tuner.size)
    assert sizes.count(sizes[0]) > 850
    assert set(sizes) <= {sizes[0], 2 * sizes[0], 4 * sizes[0]}


def test_cheap_batches_grow_in_large_steps():
    tuner, sizes = SizeTuner(8), []
    while tuner.size < 2048:
        sizes.append(tuner.size)
        tuner.record(tuner.size, 1e-7 * tuner.size + 1e-5)
    assert sizes == [8, 128]


def test_what_is_slower_in_larger_batches_gets_few_of_them():
    """As a model whose intermediate results do not stay in the cache."""
    tuner, sizes = SizeTuner(8), []
    for _ in range(50):
        sizes.append(tuner.size)
        tuner.record(tuner.size, 1e-4 + 5e-7 * tuner.size * (1 if tuner.size <= 2048 else 1.3))
    assert tuner.size == 2048
    assert sizes.count(4096) == 4
    assert max(sizes) == 4096


def test_the_first_batch_of_a_size_may_be_slow():
    """As where a shape is compiled."""
    tuner, seen = SizeTuner(8), set()

    def cost(size):
        first = size not in seen
        seen.add(size)
        return 5e-3 + 1e-5 * size + (10.0 if first else 0.0)

    assert run(tuner, cost) is not None
    assert tuner.size >= knee(5e-3, 1e-5) / 2


def test_a_size_that_noise_settled_too_small_is_mended_later():
    tuner, busy = SizeTuner(8), True
    for count in range(2000):
        busy = count < 40
        tuner.record(tuner.size, (0.004 + 1e-5 * tuner.size) * (tuner.size / 8 if busy else 1))
    assert tuner.size >= knee(0.004, 1e-5) / 2


def test_one_slow_batch_does_not_end_the_growth():
    tuner = SizeTuner(8)
    noise = iter([1.0] * 8 + [50.0] + [1.0] * 400)
    run(tuner, lambda n: (1e-3 + 1e-5 * n) * next(noise))
    assert tuner.size >= knee(1e-3, 1e-5) / 2


def test_batches_that_are_not_full_teach_nothing():
    tuner = SizeTuner(64)
    for _ in range(100):
        tuner.record(10, 1e-3)
    assert (tuner.size, tuner.settled) == (64, False)


def test_a_batch_that_takes_seconds_ends_the_growth():
    tuner = SizeTuner(8)
    run(tuner, lambda n: 1.0 + 0.1 * n)
    assert tuner.settled
    assert "a batch takes" in tuner.reason


def test_a_batch_of_many_bytes_ends_the_growth():
    tuner = SizeTuner(8)
    run(tuner, lambda n: 1e-3, nbytes_of_row=1 << 20)
    assert tuner.size == 128
    assert "a batch holds 134 MB" in tuner.reason


def test_a_fixed_size_does_not_tune():
    tuner = SizeTuner(32, largest=32, fixed=True)
    for _ in range(100):
        tuner.record(32, 1e-6)
    assert (tuner.size, tuner.settled, tuner.reason) == (32, True, "set by the handler's options")


def test_it_says_that_it_is_still_growing():
    assert SizeTuner(8).reason == "still growing"


def test_a_larger_limit_may_be_allowed_later():
    tuner = SizeTuner(8, largest=16)
    tuner.allow(64)
    assert run(tuner, lambda n: 1e-3) is not None
    assert (tuner.size, tuner.reason) == (64, "the largest size allowed")


def test_a_smaller_limit_changes_nothing():
    tuner = SizeTuner(8, largest=64)
    tuner.allow(16)
    run(tuner, lambda n: 1e-3)
    assert tuner.size == 64
