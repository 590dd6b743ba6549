"""Predictions that are still being computed: whoever reads them waits."""

import pytest

from runinference.pending import Pending

pytestmark = pytest.mark.core


def waiting(log, predictions=(1, 2, 3)):
    return Pending(predictions, lambda: log.append("waited"))


def test_nothing_waits_until_it_is_read():
    log = []
    pending = waiting(log)
    assert len(pending) == 3
    assert log == []


@pytest.mark.parametrize(
    "read", [list, lambda p: p[1], lambda p: p[0:2], lambda p: p.wait(), lambda p: 2 in p, lambda p: list(reversed(p))]
)
def test_every_way_of_reading_waits_first(read):
    log = []
    read(waiting(log))
    assert log == ["waited"]


def test_waiting_is_done_once():
    log = []
    pending = waiting(log)
    assert list(pending) == [1, 2, 3]
    assert pending[2] == 3
    assert list(pending.wait()) == [1, 2, 3]
    assert log == ["waited"]


def test_what_went_wrong_on_the_device_is_raised_at_each_reading():
    def fail():
        raise RuntimeError("the device is lost")

    pending = Pending([1, 2], fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the device is lost"):
            list(pending)
