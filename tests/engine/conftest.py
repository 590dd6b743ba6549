"""Checks that hold for every run of an engine, and a way to notice one that hangs."""

import threading
import time

import pytest

from runinference.models.store import MODELS


@pytest.fixture
def in_time():
    """Runs a function in a thread and fails if it does not come back, where it would otherwise hang for ever."""

    def run(function, seconds=10):
        outcome = []

        def target():
            try:
                outcome.append((function(), None))
            except BaseException as error:
                outcome.append((None, error))

        threading.Thread(target=target, daemon=True).start()
        until = time.monotonic() + seconds
        while not outcome:
            assert time.monotonic() < until, "hangs"
            time.sleep(0.005)
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    return run


@pytest.fixture(autouse=True)
def all_threads_end_and_all_models_leave(request):
    """After each test no thread of an engine is left, and no model in memory."""
    before, models = set(threading.enumerate()), len(MODELS)
    yield
    if request.node.get_closest_marker("xfail") is None:
        wait_until(lambda: not _ours(before))
        wait_until(lambda: len(MODELS) <= models)


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"threads: {threading.enumerate()}"
        time.sleep(0.005)


def _ours(before):
    return [t for t in threading.enumerate() if t.name.startswith("runinference-") and t not in before]
