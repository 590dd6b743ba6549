"""The thread that looks for new versions of a model."""

import logging
import os
import re
import threading

import pytest
from appearing import NOW, digest, point, put, watching

from runinference import ConfigurationError
from runinference.models.versions import content_hash
from runinference.models.watch import Found, ModelWatch, Watcher

pytestmark = pytest.mark.core


class Heard:
    """What a watcher reports, and a way to wait for it."""

    def __init__(self):
        self.found = []
        self.changed = threading.Condition()

    def __call__(self, found):
        with self.changed:
            self.found.append(found)
            self.changed.notify_all()

    def wait_for(self, content):
        with self.changed:
            assert self.changed.wait_for(lambda: any(each.content_hash == digest(content) for each in self.found), 30)


def test_versions_that_are_renamed_into_place_while_polls_run_are_found_whole_and_the_last_one_in_the_end(tmp_path):
    contents = [bytes([number]) * 200_000 for number in range(60)]
    put(tmp_path / "model.pt", contents[0])
    heard = Heard()
    watch = ModelWatch(str(tmp_path / "model.pt"))
    with Watcher(watch, heard, interval_s=0.001):
        for content in contents:
            put(tmp_path / "_next", content, NOW)
            os.replace(tmp_path / "_next", tmp_path / "model.pt")
        heard.wait_for(contents[-1])
    assert heard.found[-1].content_hash == digest(contents[-1])
    assert {each.content_hash for each in heard.found} <= {digest(content) for content in contents}


def test_the_first_poll_is_at_once_and_close_does_not_wait_for_the_next(tmp_path):
    put(tmp_path / "model.pt", b"1")
    heard = Heard()
    watcher = Watcher(ModelWatch(str(tmp_path / "model.pt")), heard, interval_s=3600)
    watcher.start()
    heard.wait_for(b"1")
    watcher.close()
    assert not any(thread.name == "runinference-model-watch" for thread in threading.enumerate())
    watcher.close()


def test_nothing_is_reported_after_close(tmp_path):
    path = put(tmp_path / "model.pt", b"1")
    heard = Heard()
    with Watcher(watching(path), heard, interval_s=0.001) as watcher:
        put(tmp_path / "model.pt", b"2")
        heard.wait_for(b"2")
        watcher.close()
        put(tmp_path / "model.pt", b"3")
    assert [each.content_hash for each in heard.found] == [digest(b"2")]


def test_a_watcher_that_never_started_can_be_closed(tmp_path):
    Watcher(ModelWatch(str(tmp_path)), Heard(), interval_s=1).close()


def test_who_is_told_may_close_the_watcher(tmp_path):
    put(tmp_path / "model.pt", b"1")
    closed = threading.Event()

    def close(found):
        watcher.close()
        closed.set()

    watcher = Watcher(ModelWatch(str(tmp_path / "model.pt")), close, interval_s=0.001)
    watcher.start()
    assert closed.wait(30)


class Polls:
    """A watch that counts, and can be waited for."""

    def __init__(self, watch):
        self.watch = watch
        self.pattern = watch.pattern
        self.polled = threading.Semaphore(0)

    @property
    def matched(self):
        return self.watch.matched

    def poll(self):
        # The one before has been dealt with when the next begins.
        self.polled.release()
        return self.watch.poll()

    def wait_for(self, count):
        for _ in range(count):
            assert self.polled.acquire(timeout=30)


def test_a_pattern_that_matches_nothing_yet_is_warned_of_once(tmp_path, caplog):
    put(tmp_path / "model.pth", b"1")
    polls = Polls(ModelWatch(str(tmp_path / "model.pt")))
    with caplog.at_level(logging.WARNING, logger="runinference"), Watcher(polls, Heard(), interval_s=0.001):
        polls.wait_for(5)
    nearest = tmp_path / "model.pth"
    expected = f"There is no model at {tmp_path / 'model.pt'} yet. Did you mean {nearest}?"
    assert [record.message for record in caplog.records] == [expected]


def test_an_error_is_logged_once_and_the_polls_go_on(tmp_path, caplog):
    versions = tmp_path / "models"
    for version in ("v1", "v2"):
        put(versions / version / "weights", version.encode())
    point(versions / "CURRENT", "v1")
    heard = Heard()
    watch = ModelWatch(str(versions / "CURRENT"), served=str(versions / "v1"))
    assert watch.poll() is None
    polls = Polls(watch)
    with caplog.at_level(logging.WARNING, logger="runinference"), Watcher(polls, heard, interval_s=0.001):
        point(versions / "CURRENT", "absent")
        polls.wait_for(20)
        point(versions / "CURRENT", "v2")
        with heard.changed:
            assert heard.changed.wait_for(lambda: heard.found, 30)
    assert heard.found == [Found(str(versions / "v2"), content_hash(str(versions / "v2")))]
    assert len(caplog.records) == 1
    assert re.search("could not be refreshed from .*CURRENT: The version pointer .* names .*absent", caplog.text)


def test_an_error_of_who_is_told_ends_nothing(tmp_path, caplog):
    path = put(tmp_path / "model.pt", b"1")
    heard = Heard()

    def fail(found):
        heard(found)
        raise RuntimeError("no room")

    with caplog.at_level(logging.WARNING, logger="runinference"), Watcher(ModelWatch(path), fail, interval_s=0.001):
        heard.wait_for(b"1")
        put(tmp_path / "model.pt", b"2")
        heard.wait_for(b"2")
    assert [record.message for record in caplog.records] == [f"The model could not be refreshed from {path}: no room"]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("interval_s", [0, -1, float("nan"), float("inf")])
def test_an_interval_must_be_a_positive_number(tmp_path, interval_s):
    with pytest.raises(ConfigurationError, match=f"positive number of seconds, not {interval_s!r}"):
        Watcher(ModelWatch(str(tmp_path)), Heard(), interval_s)
