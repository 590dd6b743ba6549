"""Elements that arrive one by one: the times of arrival, what is measured of them, and the engines they are sent to."""

import heapq
import itertools
import threading

import apache_beam as beam
import numpy as np
import pytest

from runinference.beam import RunInference
from runinference.benchmarks.cases.pytorch_sentiment_streaming import PytorchSentimentStreaming
from runinference.benchmarks.engines.streams import BundleStream, SubmitStream
from runinference.benchmarks.open_loop import poisson_arrivals, run_level
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError, InferenceError
from runinference.testing.fakes import CountingHandler

# Beam's handler leaves the file with the weights open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


class FakeClock:
    """Time that passes only while somebody sleeps, and what happens meanwhile."""

    def __init__(self):
        self.time = 100.0
        self.events = []
        self.numbers = itertools.count()

    def now(self):
        return self.time

    def at(self, time, event):
        heapq.heappush(self.events, (time, next(self.numbers), event))

    def sleep(self, seconds):
        end = self.time + seconds
        while self.events and self.events[0][0] <= end:
            self.time, _, event = heapq.heappop(self.events)
            event()
        self.time = end


class OneByOne:
    """Answers one element after the other, each after `service_s`; sending takes the sender `send_s`."""

    def __init__(self, clock, service_s, send_s=0.0):
        self.clock, self.service_s, self.send_s = clock, service_s, send_s
        self.free = clock.now()
        self.sent = []
        self.dropped = False

    def send(self, element, done):
        self.sent.append(self.clock.now())
        self.free = max(self.free, self.clock.now()) + self.service_s
        if element == "bad":
            self.clock.at(self.free, lambda: done(None, ZeroDivisionError("bad element")))
        else:
            self.clock.at(self.free, lambda: done(f"<{element}>", None))
        self.clock.sleep(self.send_s)

    def drop(self):
        self.dropped = True


def test_arrivals_have_the_rate_that_is_asked_for():
    arrivals = poisson_arrivals(1001, 50.0, seed=0)
    assert arrivals.shape == (1001,)
    assert arrivals[0] == 0
    assert arrivals[-1] == pytest.approx(1000 / 50)
    assert (np.diff(arrivals) > 0).all()


def test_arrivals_are_independent_of_each_other():
    gaps = np.diff(poisson_arrivals(20_001, 1.0, seed=1))
    for longer_than in (0.5, 1, 2, 4):  # As of an exponential distribution.
        assert np.mean(gaps > longer_than) == pytest.approx(np.exp(-longer_than), abs=0.01)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.02


def test_the_same_seed_is_the_same_pattern_at_every_rate():
    slow, fast, other = poisson_arrivals(50, 10, 3), poisson_arrivals(50, 40, 3), poisson_arrivals(50, 10, 4)
    assert slow == pytest.approx(4 * fast)
    assert slow != pytest.approx(other)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_arrivals_are_arrivals(count):
    assert poisson_arrivals(count, 4.0, seed=0).tolist() == [0, 0.25][:count]


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="The rate must be more than 0 elements per second, got"):
        poisson_arrivals(3, rate, seed=0)


def level_of(arrivals, service_s=0.01, send_s=0.0, elements=None):
    clock = FakeClock()
    server = OneByOne(clock, service_s, send_s)
    elements = range(len(arrivals)) if elements is None else elements
    return run_level(server, elements, np.array(arrivals), clock), server, clock


def test_elements_are_sent_when_they_are_due():
    level, server, _ = level_of([0, 0.5, 2])
    assert server.sent == pytest.approx([100, 100.5, 102])
    assert level.latencies_s == pytest.approx([0.01] * 3)
    assert level.answers == ["<0>", "<1>", "<2>"]
    assert level.unanswered == 0
    assert level.offered == pytest.approx(2 / 2)
    assert level.achieved == pytest.approx(3 / 2.01)


def test_waiting_in_the_queue_is_part_of_the_latency():
    level, _, _ = level_of([0, 0, 0, 5], service_s=1)
    assert level.latencies_s == pytest.approx([1, 2, 3, 1])
    assert level.latency_s(50) == pytest.approx(1.5)
    assert level.latency_s(100) == pytest.approx(3)


def test_what_the_sender_is_late_is_part_of_the_latency():
    level, server, _ = level_of([0, 0.1, 0.2, 10], service_s=0.01, send_s=1)
    assert server.sent == pytest.approx([100, 101, 102, 110])
    assert level.latencies_s == pytest.approx([0.01, 0.91, 1.81, 0.01])


def test_a_queue_is_what_theory_says():
    level, _, _ = level_of(poisson_arrivals(20_000, 70.0, seed=2), service_s=0.01)
    # A queue with one server, random arrivals and service of always the same length, at a load of 0.7.
    assert level.latencies_s.mean() == pytest.approx(0.01 * (1 + 0.7 / (2 * (1 - 0.7))), rel=0.1)


def test_an_engine_that_is_much_too_slow_is_given_up_in_bounded_time():
    level, server, clock = level_of(poisson_arrivals(101, 10.0, seed=0), service_s=2)
    assert clock.time == pytest.approx(100 + 3 * 10 + 5, abs=0.01)
    assert server.dropped
    assert level.unanswered == 101 - 17
    assert level.answers[16:18] == ["<16>", None]
    assert len(server.sent) == 101
    assert level.achieved == pytest.approx(17 / 34)
    # What was given up had waited for at least as long.
    assert level.latencies_s[17:] == pytest.approx(35 - poisson_arrivals(101, 10.0, seed=0)[17:], abs=0.01)
    assert level.latency_s(99) > 25


def test_a_sender_that_cannot_send_gives_up_too():
    level, server, clock = level_of([0.0] * 100, service_s=0.1, send_s=1)
    assert len(server.sent) == 5
    assert clock.time == pytest.approx(105)
    assert level.unanswered == 95
    assert level.latencies_s[99] == pytest.approx(5)


def test_answers_that_come_after_the_end_change_nothing():
    level, _, clock = level_of([0, 0], service_s=4)
    assert (level.unanswered, level.answers) == (1, ["<0>", None])
    clock.sleep(100)
    assert (level.unanswered, level.answers) == (1, ["<0>", None])


def test_an_element_that_fails_ends_it():
    clock = FakeClock()
    server = OneByOne(clock, 0.01)
    with pytest.raises(ZeroDivisionError, match="bad element"):
        run_level(server, [0, "bad", 2, 3], np.array([0.0, 1, 2, 3]), clock)
    assert len(server.sent) == 2
    assert server.dropped


def test_no_elements_are_a_level_without_figures():
    level, _, clock = level_of([])
    assert clock.time == 100
    assert np.isnan([level.offered, level.achieved, level.latency_s(99)]).all()
    assert (level.answers, level.unanswered) == ([], 0)


class Gated(CountingHandler):
    """Runs nothing until the gate opens; refuses -1."""

    gate = threading.Event()
    began = threading.Event()

    def run_inference(self, batch, model, inference_args=None):
        self.began.set()
        assert self.gate.wait(30)
        if -1 in batch:
            raise ValueError("a negative row")
        return super().run_inference(batch, model, inference_args)


@pytest.fixture(params=["submit", "bundles"])
def stream(request):
    Gated.gate.set()
    handler = Gated(max_batch_size=8)
    stream = SubmitStream(handler) if request.param == "submit" else BundleStream(RunInference(handler))
    with stream:
        yield stream
        Gated.gate.set()


class Taker:
    """Takes answers."""

    def __init__(self):
        self.got = {}
        self.changed = threading.Condition()

    def __call__(self, number):
        def done(answer, error):
            with self.changed:
                self.got[number] = (answer, error)
                self.changed.notify_all()

        return done

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, 30)
        return self.got


def test_a_stream_answers_what_it_is_sent(stream):
    take = Taker()
    for number in range(40):
        stream.send(number, take(number))
    got = take.wait_for(40)
    assert all((answer.inference, error) == (2 * number, None) for number, (answer, error) in got.items())
    assert stream.load_s > 0


def test_a_stream_answers_many_at_once(stream):
    assert [result.inference for result in stream.batch(range(30))] == [2 * number for number in range(30)]
    assert stream.batch([]) == []


def test_a_stream_tells_how_many_rows_it_ran_in_how_many_batches(stream):
    stream.batch(range(30))
    rows, batches = stream.batches()
    assert rows == 30
    assert 1 <= batches <= 30
    assert stream.metrics()["num_inferences"] == 30


def test_a_stream_tells_of_an_element_that_fails_and_goes_on(stream):
    take = Taker()
    stream.send(-1, take(-1))
    take.wait_for(1)
    stream.send(1, take(1))
    take.wait_for(2)
    assert isinstance(take.got[-1][1], (ValueError, InferenceError))
    assert "a negative row" in str(take.got[-1][1])
    assert take.got[1][0].inference == 2


def test_what_a_stream_has_not_begun_can_be_given_up(stream):
    Gated.gate.clear()
    Gated.began.clear()
    take = Taker()
    for number in range(200):
        stream.send(number, take(number))
    assert Gated.began.wait(30)
    dropping = threading.Thread(target=stream.drop)
    dropping.start()
    take.wait_for(100)  # They are given up while the model is at work.
    Gated.gate.set()
    dropping.join(30)
    assert not dropping.is_alive()
    got = take.wait_for(200)
    given_up = [number for number, (_, error) in got.items() if error is not None]
    assert 100 <= len(given_up) < 200
    assert type(got[given_up[0]][1]).__name__ == "CancelledError"
    assert all(got[number][0].inference == 2 * number for number in set(range(200)) - set(given_up))


class CountInBundle(beam.DoFn):
    """Gives each element with its number within its bundle."""

    def start_bundle(self):
        self.count = 0

    def process(self, element):
        self.count += 1
        yield element, self.count


def test_elements_that_are_sent_have_a_bundle_each():
    take = Taker()
    with BundleStream(beam.ParDo(CountInBundle())) as stream:
        for number in range(20):
            stream.send(number, take(number))
        got = take.wait_for(20)
        assert stream.batch("abc") == [("a", 1), ("b", 2), ("c", 3)]
    assert got == {number: ((number, 1), None) for number in range(20)}


def test_bundles_that_run_at_a_time_share_batches_of_ours():
    Gated.gate.clear()
    Gated.began.clear()
    take = Taker()
    with BundleStream(RunInference(Gated())) as stream:
        for number in range(32):
            stream.send(number, take(number))
        assert Gated.began.wait(30)
        Gated.gate.set()
        take.wait_for(32)
        rows, batches = stream.batches()
    assert rows == 32
    assert batches < 32


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNINFERENCE_CACHE", str(tmp_path_factory.mktemp("cache")))
        benchmark = PytorchSentimentStreaming(Settings(24, "tiny"))
        benchmark.prepare()
        yield benchmark


def test_every_engine_gives_the_same_answers_and_all_measures(benchmark):
    examples = benchmark.examples()
    passes = {engine: benchmark.run(engine, examples) for engine in benchmark.engines}
    answers = list(passes["embedded"].answers)
    assert len(answers) == 24
    assert set(answers) == {0, 1}
    names = {measure.name for measure in benchmark.measures}
    for engine, result in passes.items():
        assert list(result.answers) == answers, engine
        assert result.elements == 4 * 24
        assert names <= set(result.metrics)
        assert result.run_s > result.load_s > 0
        for load in (30, 50, 70, 90):
            assert result.metrics[f"offered_rate_at_{load}_percent"] == pytest.approx(
                result.metrics["capacity"] * load / 100
            )
            p50, p95, p99 = (result.metrics[f"latency_p{percent}_ms_at_{load}_percent"] for percent in (50, 95, 99))
            assert 0 < p50 <= p95 <= p99
        assert result.metrics["unanswered_elements"] == 0
    assert passes["beam-original"].metrics["batch_size_at_70_percent"] == 1


def test_rows_of_ours_are_not_held_back_unless_that_is_asked_for(benchmark):
    assert benchmark.handler().batch_elements_kwargs()["max_batch_duration_secs"] == 0
    asked = PytorchSentimentStreaming(Settings(24, "tiny", handler_options={"max_batch_duration_secs": 0.1}))
    assert asked.handler().batch_elements_kwargs()["max_batch_duration_secs"] == 0.1


def test_measures_are_declared_once_each():
    names = [measure.name for measure in PytorchSentimentStreaming.measures]
    assert len(names) == len(set(names)) == 1 + 4 * 5 + 4
    assert {"latency_p99_ms_at_70_percent", "one_batch_latency_ms", "p99_over_batch_at_70_percent"} < set(names)


def test_nothing_to_do_is_refused(benchmark):
    with pytest.raises(ConfigurationError, match="pytorch-sentiment-streaming needs texts, but there are none"):
        benchmark.run("embedded", [])


def test_a_pipeline_that_is_to_run_elsewhere_is_refused():
    elsewhere = PytorchSentimentStreaming(Settings(24, "tiny", pipeline_options=["--runner=DataflowRunner"]))
    with pytest.raises(ConfigurationError, match="measures Beam in this process only; leave out options of pipelines"):
        elsewhere.run("beam", ["text"])
