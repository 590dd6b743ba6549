"""Where rows come from: fast and slow, short and endless, and those that fail half-way."""

import collections
import threading
import time

import numpy as np
import pytest

from runinference import infer
from runinference.testing.fakes import CountingHandler

WORKERS = [0, 2, None]
FIXED_8 = {"min_batch_size": 8, "max_batch_size": 8}


def examples(results):
    return [result.example for result in results]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("kind", [list, tuple, iter, set, dict.fromkeys, np.array, lambda rows: (r for r in rows)])
def test_every_kind_of_iterable_is_read(kind, workers):
    rows = kind(list(range(100)))
    rows = rows.keys() if isinstance(rows, dict) else rows
    assert examples(infer(rows, CountingHandler(), workers=workers)) == list(range(100))


def test_a_deque_is_read():
    assert examples(infer(collections.deque(range(5)), CountingHandler())) == list(range(5))


def test_a_sequence_that_takes_only_positions_is_read():
    class Squares(collections.abc.Sequence):
        def __len__(self):
            return 5

        def __getitem__(self, position):
            if not 0 <= position < 5:
                raise IndexError
            return position**2

    assert examples(infer(Squares(), CountingHandler())) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("empty", [[], (), iter([]), range(0), np.zeros((0, 3))])
def test_empty_input_does_not_load_the_model(empty, workers):
    handler = CountingHandler()
    assert list(infer(empty, handler, workers=workers)) == []
    assert handler.log.loads == 0


def test_nothing_is_read_or_loaded_before_the_first_result_is_asked_for():
    read, handler = [], CountingHandler()
    results = infer((read.append(row) or row for row in range(5)), handler)
    assert (read, handler.log.loads) == ([], 0)
    assert next(results).example == 0
    assert handler.log.loads == 1


@pytest.mark.parametrize("workers", WORKERS)
def test_a_source_that_fails_half_way_gives_its_rows_before_and_its_own_exception(workers):
    class LostError(OSError):
        pass

    def source():
        yield from range(21)
        raise LostError("the share is gone")

    results = []
    with pytest.raises(LostError, match="the share is gone"):
        results.extend(examples_of(infer(source(), CountingHandler(**FIXED_8), workers=workers)))
    assert results == list(range(21))


def examples_of(results):
    return (result.example for result in results)


def test_a_source_that_exits_ends_the_run(in_time):
    def source():
        yield 1
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        in_time(lambda: list(infer(source(), CountingHandler())), seconds=2)


def test_without_workers_a_source_that_exits_ends_the_run():
    def source():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(infer(source(), CountingHandler(), workers=0))


@pytest.mark.parametrize("workers", [2, None])
def test_a_source_that_stalls_does_not_hold_back_what_it_gave(workers):
    """Twelve rows come at once and then none: all leave, though they are no full batch and no full run."""
    go_on = threading.Event()

    def source():
        yield from range(300)
        go_on.wait(30)
        yield 300

    results = infer(source(), CountingHandler(max_batch_size=64), workers=workers)
    found = [next(results).example for _ in range(300)]
    assert not go_on.is_set()
    go_on.set()
    assert [*found, *examples(results)] == list(range(301))


@pytest.mark.parametrize("workers", WORKERS)
def test_a_slow_endless_source_is_answered_row_by_row(workers):
    answered = threading.Semaphore(0)

    def source():
        row = 0
        while True:
            yield row
            row += 1
            if row % 3 == 0 and workers != 0:
                assert answered.acquire(timeout=30), "rows are held back"
            elif workers == 0:
                time.sleep(0.02)

    results = infer(source(), CountingHandler(max_batch_duration_secs=0.05), workers=workers)
    found = []
    for _ in range(30):
        found.append(next(results).example)
        if len(found) % 3 == 0:
            answered.release()
    answered.release()
    results.close()
    assert found == list(range(30))


@pytest.mark.parametrize("workers", WORKERS)
def test_the_source_is_read_only_a_bounded_number_of_rows_ahead(workers):
    read = 0

    def source():
        nonlocal read
        for row in range(1_000_000):
            read += 1
            yield row

    furthest = 0
    for taken, _ in enumerate(infer(source(), CountingHandler(min_batch_size=16, max_batch_size=16), workers=workers)):
        furthest = max(furthest, read - taken)
        if taken == 3000:
            break
    assert furthest <= 16 * 12


def test_a_consumer_that_pauses_stops_the_reading():
    read = []
    results = infer((read.append(row) or row for row in range(1_000_000)), CountingHandler(**FIXED_8), workers=2)
    next(results)
    time.sleep(0.2)
    before = len(read)
    time.sleep(0.2)
    assert len(read) == before < 200
    results.close()


def test_a_million_rows():
    count = 0
    for expected, result in enumerate(infer(range(1_000_000), CountingHandler())):
        count += result.inference == 2 * expected
    assert count == 1_000_000
