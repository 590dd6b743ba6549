"""Progress: honest numbers, a line that fits, a thread that never disturbs the job."""

import io
import logging
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runinference.errors import ConfigurationError
from runinference.progress import ProgressMeter, ProgressReporter, format_line

pytestmark = pytest.mark.core

WAIT_S = 30.0


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A terminal that remembers what was written."""

    def isatty(self) -> bool:
        return True


class Asked(threading.Event):
    """A callable that can be waited for and keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.states = []

    def __call__(self, state) -> None:
        self.states.append(state)
        self.set()


def reporter(target, clock, total=None) -> ProgressReporter:
    """A reporter that is refreshed by hand."""
    return ProgressReporter(target, total, clock=clock)


def meter_at(done, failed, now, total=None) -> ProgressMeter:
    meter = ProgressMeter(total)
    meter.update(done, failed, now)
    return meter


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.floats(-5, 5)), max_size=30),
)
def test_done_failed_and_remaining_always_add_up_to_the_total(total, steps):
    meter, done, failed, now = ProgressMeter(total), 0, 0, 0.0
    for more_done, more_failed, passed in steps:
        done, failed, now = done + more_done, failed + more_failed, now + passed
        meter.update(done, failed, now)
        state = meter.to_dict()
        assert state["done"] + state["failed"] + state["remaining"] == state["total"]
        assert state["remaining"] >= 0
        assert state["rate"] >= 0
        assert state["elapsed_s"] >= 0


def test_the_dict_has_the_keys_that_watchers_rely_on():
    assert set(ProgressMeter().to_dict()) == {
        "done", "failed", "total", "remaining", "rate", "eta_s", "elapsed_s", "in_flight_s",
    }  # fmt: skip


def test_no_eta_until_three_seconds_and_two_percent_have_passed():
    meter = ProgressMeter(total=1000)
    meter.update(500, 0, 2.9)
    assert meter.eta_s is None
    meter.update(500, 0, 3.0)
    assert meter.eta_s is not None
    slow = ProgressMeter(total=1000)
    slow.update(19, 0, 60.0)
    assert slow.eta_s is None
    slow.update(20, 0, 61.0)
    assert slow.eta_s is not None


def test_no_eta_without_a_total_and_none_when_nothing_is_left():
    assert meter_at(500, 0, 10.0).eta_s is None
    assert meter_at(500, 0, 10.0, total=500).eta_s is None


def test_the_rate_follows_the_last_ten_seconds():
    meter, rows = ProgressMeter(total=100_000), 0
    for second in range(1, 101):
        rows += 1000 if second <= 50 else 10
        meter.update(rows, 0, float(second))
    assert meter.rate == pytest.approx(10)
    assert meter.eta_s == pytest.approx((100_000 - rows) / 10)


def test_long_batches_do_not_make_the_rate_jump():
    meter, rates = ProgressMeter(total=10_000), []
    for second in range(1, 200):
        meter.update(100 * (second // 20), 0, float(second))
        rates.append(meter.rate)
    assert rates[19:] == pytest.approx([5.0] * len(rates[19:]))


def test_a_stall_lowers_the_rate_bit_by_bit():
    meter = ProgressMeter(total=10_000)
    for second in range(1, 21):
        meter.update(100 * second, 0, float(second))
    before = meter.rate
    meter.update(2000, 0, 40.0)
    assert meter.rate == pytest.approx(before / 2)
    meter.update(2000, 0, 120.0)
    assert meter.rate == pytest.approx(before / 10)


def test_very_frequent_updates_take_no_memory():
    meter = ProgressMeter()
    for step in range(1, 50_000):
        meter.update(step, 0, step * 0.001)
    assert len(meter._changes) < 250
    assert meter.rate == pytest.approx(1000, rel=0.02)


def test_rows_of_a_resumed_job_do_not_count_as_speed():
    meter = ProgressMeter(total=1000, started=50.0)
    meter.update(900, 0, 50.0)
    meter.update(910, 0, 55.0)
    assert meter.rate == pytest.approx(2.0)
    meter.finish(60.0)
    assert meter.rate == pytest.approx(1.0)


def test_a_total_that_was_too_small_grows():
    meter = meter_at(12, 1, 5.0, total=10)
    assert (meter.total, meter.remaining) == (13, 0)


def test_the_line_shows_everything_that_is_known():
    meter = meter_at(1233, 1, 10.0, total=2745)
    assert format_line(meter) == "45% ━━━━━━━━╸─────────── 1,234/2,745 rows · 123 rows/s · ETA 0:12 · 1 failed"


def test_the_line_without_a_total_shows_the_elapsed_time():
    assert format_line(meter_at(1234, 0, 12.0)) == "1,234 rows · 103 rows/s · elapsed 0:12"


def test_the_line_of_a_finished_job_shows_the_total_time():
    meter = meter_at(7200, 0, 3599.0, total=7200)
    meter.finish(3600.0)
    assert format_line(meter) == "100% ━━━━━━━━━━━━━━━━━━━━ 7,200/7,200 rows · 2 rows/s · took 1:00:00"


def test_a_job_that_ended_early_does_not_claim_to_be_complete():
    meter = meter_at(50, 0, 10.0, total=100)
    meter.finish(10.0)
    assert format_line(meter) == "50% ━━━━━━━━━━────────── 50/100 rows · 5 rows/s · took 0:10"


def test_a_hundred_percent_is_for_the_last_row():
    assert format_line(meter_at(9999, 0, 10.0, total=10_000)).startswith("99% ")


def test_an_empty_job_is_complete():
    assert format_line(ProgressMeter(total=0)) == "100% ━━━━━━━━━━━━━━━━━━━━ 0/0 rows · took 0:00"


def test_a_batch_that_takes_long_is_named():
    meter = meter_at(10, 0, 10.0, total=100)
    meter.update(10, 0, 52.0, in_flight_s=42.0)
    assert format_line(meter).endswith(" · batch in flight 42 s")
    meter.update(11, 0, 53.0, in_flight_s=4.0)
    assert "in flight" not in format_line(meter)


@given(st.integers(1, 120))
def test_the_line_fits_any_width(width):
    line = format_line(meter_at(1233, 1, 10.0, total=2745), width)
    assert len(line) <= width
    if width >= 70:
        assert line.endswith("1 failed")
        assert "━" in line


def test_a_terminal_line_is_rewritten_in_place(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    clock, screen = Clock(), Screen()
    progress = reporter(screen, clock, total=100)
    clock.now += 5
    progress.update(50, 0)
    progress.refresh()
    clock.now += 42
    progress.refresh()
    progress.close()
    first, second, last = screen.getvalue().split("\r")[1:]
    assert first == "50% ━━━━━━━━━━────────── 50/100 rows · 10 rows/s · ETA 0:05\x1b[K"
    assert second.endswith("ETA 0:42 · batch in flight 42 s\x1b[K")
    assert last.endswith("took 0:47\x1b[K\n")
    assert "\x1b[3" not in screen.getvalue()
    assert all(len(part.removesuffix("\x1b[K")) < 80 for part in (first, second))


def test_colours_are_used_unless_no_color_is_set(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    clock, screen = Clock(), Screen()
    progress = reporter(screen, clock, total=10)
    progress.update(5, 0)
    progress.refresh()
    assert "\x1b[36m━━━━━━━━━━\x1b[0m\x1b[2m──────────\x1b[0m" in screen.getvalue()
    plain = re.sub(r"\x1b\[\d*[mK]|\r", "", screen.getvalue())
    assert plain.startswith("50% ━━━━━━━━━━────────── 5/10 rows")


@pytest.mark.parametrize("term", ["file", "dumb"])
def test_a_stream_that_is_no_terminal_gets_a_line_each_half_minute(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    clock, stream = Clock(), Screen() if term == "dumb" else io.StringIO()
    progress = reporter(stream, clock)
    for second in range(1, 76):
        clock.now += 1
        progress.update(second, 0)
        progress.refresh()
    progress.close()
    lines = stream.getvalue().splitlines()
    assert [line.split(" · ")[0] for line in lines] == ["30 rows", "60 rows", "75 rows"]
    assert lines[-1].endswith("took 1:15")
    assert "\x1b" not in stream.getvalue()


def test_a_stream_that_knows_only_ascii_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    progress = reporter(stream, Clock(), total=10)
    progress.update(5, 0)
    progress.close()
    assert raw.getvalue() == b"50% ==========.......... 5/10 rows | took 0:00\n"


def test_a_callable_gets_the_state_and_the_final_one_once():
    clock, asked = Clock(), Asked()
    progress = reporter(asked, clock, total=10)
    clock.now += 2
    progress.update(4, 1)
    progress.refresh()
    progress.update(9, 1)
    progress.close()
    progress.close()
    progress.refresh()
    assert [(state["done"], state["failed"], state["remaining"]) for state in asked.states] == [(4, 1, 5), (9, 1, 0)]
    assert asked.states[0]["elapsed_s"] == 2.0


def test_the_time_since_the_last_change_is_told():
    clock, asked = Clock(), Asked()
    progress = reporter(asked, clock)
    progress.update(1, 0)
    progress.refresh()
    clock.now += 42
    progress.refresh()
    progress.update(2, 0)
    progress.refresh()
    assert [state["in_flight_s"] for state in asked.states] == [0.0, 42.0, 0.0]


def test_the_thread_reports_although_nothing_moves():
    asked = Asked()
    with ProgressReporter(asked, interval_s=0.01) as progress:
        assert asked.wait(WAIT_S)
        asked.clear()
        assert asked.wait(WAIT_S)
        progress.update(3, 0)
    assert asked.states[0]["done"] == 0
    assert asked.states[-1]["done"] == 3
    assert not any(thread.name == "runinference-progress" for thread in threading.enumerate())


def test_counts_given_before_the_start_are_where_the_job_resumes():
    clock, asked = Clock(), Asked()
    progress = ProgressReporter(asked, total=1000, interval_s=1.0, clock=clock)
    progress.update(900, 0)
    progress.start()
    clock.now += 10
    progress.update(950, 0)
    progress.close()
    assert asked.states[-1]["rate"] == pytest.approx(5.0)


def test_a_callable_that_raises_is_not_called_again_and_one_warning_says_so(caplog):
    calls = []

    def broken(state) -> None:
        calls.append(state)
        raise RuntimeError("no such widget")

    progress = reporter(broken, Clock())
    with caplog.at_level(logging.WARNING, logger="runinference"):
        progress.refresh()
        progress.refresh()
        progress.close()
    assert len(calls) == 1
    assert [record.message for record in caplog.records] == ["The progress callable raised; it is not called again."]
    assert "no such widget" in caplog.text


class BrokenPipe(Screen):
    """A stream whose reader has gone."""

    writes = 0

    def write(self, text):
        self.writes += 1
        raise BrokenPipeError("gone")


def test_a_broken_stream_does_not_disturb_the_job():
    stream = BrokenPipe()
    progress = reporter(stream, Clock())
    progress.refresh()
    progress.refresh()
    progress.close()
    assert stream.writes == 1


@pytest.mark.parametrize("kind", [Screen, io.StringIO])
@pytest.mark.parametrize("closed_first", [True, False])
def test_a_closed_stream_does_not_disturb_the_job(kind, closed_first):
    stream = kind()
    if closed_first:
        stream.close()
    progress = reporter(stream, Clock())
    progress.refresh()
    stream.close()
    progress.refresh()
    progress.close()


def test_the_callable_itself_may_close_the_reporter():
    states, closed = [], threading.Event()

    def close_it(state) -> None:
        states.append(state)
        progress.close()
        closed.set()

    progress = ProgressReporter(close_it, interval_s=0.01)
    with progress:
        assert closed.wait(WAIT_S)
    assert len(states) == 2


def test_an_exception_of_the_job_passes_through_and_the_last_state_is_shown():
    asked = Asked()

    def job() -> None:
        with ProgressReporter(asked, interval_s=1.0) as progress:
            progress.update(1, 0)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        job()
    assert asked.states[-1]["done"] == 1


@pytest.mark.parametrize("interval_s", [0, -1.0, float("nan"), float("inf")])
def test_an_interval_must_be_positive(interval_s):
    with pytest.raises(ConfigurationError, match="interval_s must be a positive number of seconds"):
        ProgressReporter(print, interval_s=interval_s)


def test_a_target_must_be_a_stream_or_a_callable():
    with pytest.raises(ConfigurationError, match="a stream or a callable, not to 'bar'"):
        ProgressReporter("bar")
