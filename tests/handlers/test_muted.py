"""A warning that is muted in one thread stays muted until the last thread has left."""

from __future__ import annotations

import threading
import warnings

import pytest

from runinference.handlers.muted import MutedWarning


def test_a_muted_warning_is_not_shown_and_others_are() -> None:
    muted = MutedWarning("known")
    with muted:
        warnings.warn("known to everybody", stacklevel=1)
        with pytest.warns(UserWarning, match="not known"):
            warnings.warn("not known", stacklevel=1)
    with pytest.warns(UserWarning, match="known to everybody"):
        warnings.warn("known to everybody", stacklevel=1)


def test_the_filters_are_afterwards_what_they_were() -> None:
    before = list(warnings.filters)
    with MutedWarning("known"):
        assert list(warnings.filters) != before
    assert list(warnings.filters) == before


def test_an_error_inside_takes_the_filter_away() -> None:
    before = list(warnings.filters)
    with pytest.raises(KeyError), MutedWarning("known"):
        raise KeyError
    assert list(warnings.filters) == before


def test_the_first_thread_to_leave_does_not_take_it_from_the_other() -> None:
    muted = MutedWarning("known")
    inside, left = threading.Event(), threading.Event()
    raised: list[Warning] = []

    def stay() -> None:
        with muted:
            inside.set()
            left.wait()
            try:
                warnings.warn("known", stacklevel=1)
            except Warning as warning:
                raised.append(warning)

    staying = threading.Thread(target=stay)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with muted:
            staying.start()
            inside.wait()
        left.set()
        staying.join()
    assert raised == []


def test_what_others_set_in_the_meantime_stays() -> None:
    with warnings.catch_warnings():
        with MutedWarning("known"):
            warnings.filterwarnings("error", message="theirs")
        with pytest.raises(UserWarning, match="theirs"):
            warnings.warn("theirs", stacklevel=1)


def test_the_same_filter_of_somebody_else_stays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="known")
        with MutedWarning("known"):
            pass
        warnings.warn("known", stacklevel=1)


def test_many_threads_at_once_see_no_warning() -> None:
    muted = MutedWarning("known")
    raised: list[Warning] = []

    def work() -> None:
        for _ in range(500):
            with muted:
                try:
                    warnings.warn("known", stacklevel=1)
                except Warning as warning:
                    raised.append(warning)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert raised == []
