"""Running a benchmark: processes, turns, answers, what is published and what happens when something breaks."""

import json
import os
import signal
import time

import pytest

from runinference import ConfigurationError
from runinference.benchmarks import Settings
from runinference.benchmarks.catalog import find_benchmark, find_benchmarks
from runinference.benchmarks.process import BenchmarkError
from runinference.benchmarks.run import Request, run_benchmark
from runinference.benchmarks.suite import run_suite, write_results
from runinference.errors import DataError
from runinference.metrics.history import read_runs
from runinference.metrics.publisher import Publisher

CASE = '''
import os, sys, time
from pathlib import Path
from runinference import ModelHandler
from runinference.benchmarks import Benchmark, Pass

HERE = Path(__file__).parent

class Lengths(Benchmark):
    """How long texts are."""

    name = "lengths"
    title = "Lengths of texts"
    models = ("characters", "words", "broken", "missing-file", "lacks", "empty", "dies", "hangs", "differs", "shorter")
    models += ("bad",)
    engines = ("embedded", "loop")
    extras = ("torch",)
    default_examples = 100

    def prepare(self):
        (HERE / "made").write_text(str(os.getpid()))

    def examples(self):
        if self.settings.model == "empty":
            return []
        if self.settings.model == "lacks":
            import no_such_package
        if self.settings.model == "missing-file":
            from runinference import ConfigurationError
            raise ConfigurationError("there is no file nowhere.txt")
        return [f"text {number}" for number in range(self.settings.examples)]

    def handler(self):
        return Handler(self.settings.model)

    def num_bytes(self, examples):
        return sum(map(len, examples))

    def flops(self, examples):
        return 1e9 if self.settings.model == "words" else None

    def run(self, engine, examples):
        with (HERE / "turns").open("a") as turns:
            turns.write(engine + "\\n")
        if engine != "loop":
            return super().run(engine, examples)
        model = self.settings.model
        if model == "dies":
            print("the last words", file=sys.stderr, flush=True)
            os._exit(9)
        if model == "hangs":
            time.sleep(60)
        answers = [len(text) + (model == "differs" and number > 2) for number, text in enumerate(examples)]
        return Pass(len(answers), 0.5, 0.25, answers[model == "shorter":], metrics={"my_own": 3.0})

class Handler(ModelHandler):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def load_model(self):
        if self.kind == "broken":
            raise OSError("the weights are damaged")
        if self.kind == "bad":
            from runinference.errors import RowError
            def refuse(text):
                raise RowError("no text at all")
            return refuse
        return len

    def run_inference(self, batch, model, inference_args=None):
        return [model(text) for text in batch]
'''


class Silent:
    def doing(self, what):
        pass

    def passed(self, engine, run_s):
        pass


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "lengths.py").write_text(CASE)
    return cases


def request_of(folder, model="characters", engines=("embedded", "loop"), examples=100, repeat=3, **options):
    benchmark = find_benchmark("lengths", [str(folder)])
    settings = Settings(examples, model)
    return Request(benchmark, settings, engines, repeat, folders=[str(folder)], **options)


def run(request, published=None):
    return run_benchmark(request, (lambda _: None) if published is None else published.append, Silent())


def test_every_engine_warms_up_and_then_they_take_turns(folder):
    embedded, loop = run(request_of(folder, cost=lambda seconds: 2 * seconds))
    turns = (folder / "turns").read_text().split()
    assert turns == ["embedded", "loop", *("embedded", "loop"), *("loop", "embedded"), *("embedded", "loop")]
    assert embedded.info.engine == "embedded"
    assert loop.samples["JobRuntimeSeconds"] == [0.5] * 3
    assert loop.samples["AvgThroughputElements"] == [200.0] * 3
    assert loop.samples["throughput_after_load"] == [400.0] * 3
    assert loop.samples["AvgThroughputBytes"] == [690 / 0.5] * 3
    assert loop.samples["EstimatedCost"] == [1.0] * 3
    assert loop.samples["estimated_cost_per_million"] == [10_000.0] * 3
    assert loop.samples["answers_equal"] == [1.0] * 3
    assert loop.samples["my_own"] == [3.0] * 3
    assert "peak_share" not in loop.samples  # Nobody knows how many operations it takes.
    assert embedded.samples["num_inferences"] == [100.0] * 3
    assert embedded.samples["inference_batch_latency_micro_secs_P95"][0] > 0
    assert embedded.samples["peak_memory_bytes"][0] > 1e6

    assert int((folder / "made").read_text()) != os.getpid()  # Data is made in a process of its own.


def test_runs_tell_what_was_done_where(folder):
    about = {"machine_type": "n1-standard-2"}
    embedded, loop = run(request_of(folder, "words", repeat=1, machine="my machine", options=about))
    assert embedded.info.name == "lengths"
    assert embedded.work == {"model": "words", "examples": 100, "device": "cpu"}
    assert embedded.info.host == "my machine"
    assert embedded.info.options["machine_type"] == "n1-standard-2"
    assert embedded.session == loop.session
    assert "runinference" in embedded.info.versions
    assert embedded.complete
    assert 0 < loop.samples["peak_share"][0] < 1


def test_what_is_published_is_read_back_the_same_from_the_database_and_from_the_results(folder, tmp_path):
    publisher = Publisher([f"sqlite:{tmp_path / 'store.sqlite'}"])
    runs = run_benchmark(request_of(folder), publisher.publish, Silent())
    publisher.close()
    write_results(tmp_path / "results.json", runs, {"command": ["bench"]})
    stored, written = read_runs(tmp_path / "store.sqlite"), read_runs(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["machine"]["cores"] >= 1
    for read in (stored, written):
        assert {each.info.engine for each in read} == {"embedded", "loop"}
        for each in read:
            (same,) = [run for run in runs if run.info.test_id == each.info.test_id]
            assert each.samples == same.samples
            assert each.info == same.info


def test_runs_are_there_from_the_start_and_say_that_they_are_running(folder):
    published = []
    run(request_of(folder, repeat=2), published)
    states = [(each.run.engine, each.run.state, bool(each.values)) for each in published]
    assert states[:2] == [("embedded", "running", False), ("loop", "running", False)]
    assert [state for *state, _ in states[2:6]] == [
        ["embedded", "running"],
        ["loop", "running"],
        ["loop", "running"],
        ["embedded", "running"],
    ]
    assert {state for _, state, _ in states[6:]} == {"done"}


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("missing-file", ConfigurationError, "there is no file nowhere.txt"),
        (
            "lacks",
            ConfigurationError,
            r"'no_such_package'. Install what it needs: pip install \"runinference\[torch\]\"",
        ),
        ("empty", ConfigurationError, "lengths: there are no elements"),
        ("broken", BenchmarkError, "the weights are damaged"),
        ("dies", BenchmarkError, r"loop: the process ended with exit code 9.*\nthe last words"),
        (
            "differs",
            BenchmarkError,
            "loop gave other answers than embedded for 7 of 10 elements, first for element 3: 7",
        ),
        ("bad", BenchmarkError, "all 10 elements failed, so there is no speed"),
        ("shorter", BenchmarkError, "loop gave 9 answers and embedded 10"),
    ],
)
def test_what_cannot_be_believed_is_an_error_and_its_runs_are_failed(folder, model, error, message):
    published = []
    with pytest.raises(error, match=message):
        run(request_of(folder, model, examples=10), published)
    # What cannot work as it was asked for has never begun.
    states = [] if error is ConfigurationError else ["running", "running", "failed", "failed"]
    assert [each.run.state for each in published] == states
    assert not any(each.values for each in published)


def test_a_pass_that_takes_too_long_is_given_up_and_its_process_ended(folder):
    start = time.monotonic()
    with pytest.raises(BenchmarkError, match="loop: there was no answer within 5 s"):
        run(request_of(folder, "hangs", timeout_s=5.0))
    assert time.monotonic() - start < 50


def test_a_benchmark_that_fails_does_not_keep_the_next_from_being_run(folder):
    requests = [request_of(folder, model, examples=10, repeat=1) for model in ("differs", "characters")]
    failed, done = run_suite(requests, lambda _: None, lambda _: Silent())
    assert isinstance(failed.error, BenchmarkError)
    assert not failed.wrong_usage
    assert len(done.runs) == 2


def test_a_killed_run_stays_in_the_database_as_running(folder, tmp_path):
    store = tmp_path / "store.sqlite"
    child = os.fork()
    if not child:  # Its parent kills it in the middle of the measured passes.
        publisher = Publisher([f"sqlite:{store}"])

        def publish(measurement):
            publisher.publish(measurement)
            if measurement.values:
                publisher.close()
                os.kill(os.getpid(), signal.SIGKILL)

        run_benchmark(request_of(folder), publish, Silent())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert {run.info.state for run in read_runs(store)} == {"running"}


def test_benchmarks_of_the_users_own_are_found_beside_ours(folder):
    found = find_benchmarks([folder])
    assert found["lengths"].description() == "How long texts are."
    assert len(found) > 1
    assert list(found) == sorted(found)


def test_an_unknown_benchmark_names_the_nearest(folder):
    with pytest.raises(ConfigurationError, match=r"no benchmark 'length'\. Did you mean 'lengths'"):
        find_benchmark("length", [folder])


def test_two_benchmarks_of_one_name_and_a_folder_that_is_not_there_are_refused(folder):
    (folder / "other.py").write_text(CASE)
    with pytest.raises(ConfigurationError, match=r"Two benchmarks are called 'lengths': .*lengths.py and .*other.py"):
        find_benchmarks([folder])
    with pytest.raises(ConfigurationError, match="There is no folder nowhere"):
        find_benchmarks(["nowhere"])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"runs": [{"run": {}}]}', b"SQLite format 3\0 but no more"])
def test_a_file_without_runs_is_an_error_that_says_what_it_should_be(tmp_path, content):
    path = tmp_path / "store"
    path.write_bytes(content)
    with pytest.raises(DataError, match="holds no runs: it is neither a database"):
        read_runs(path)
    with pytest.raises(DataError, match="nothing cannot be read: No such file"):
        read_runs(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("run", "started", "yesterday", "started cannot be 'yesterday'"),
        ("run", "versions", [1], "versions cannot be"),
        ("run", "cores", None, "cores cannot be None"),
        ("samples", "JobRuntimeSeconds", ["fast"], "could not convert string to float"),
        ("samples", "JobRuntimeSeconds", 3, "not iterable"),
    ],
)
def test_a_run_with_values_of_other_types_is_refused(tmp_path, part, name, value, message):
    info = {"name": "x", "test_id": "1", "started": 1.0, "cores": 2, "versions": {}, "options": {}}
    run = {"run": info, "samples": {"JobRuntimeSeconds": [1.0]}}
    run[part][name] = value
    (tmp_path / "results.json").write_text(json.dumps({"runs": [run]}))
    with pytest.raises(DataError, match=message):
        read_runs(tmp_path / "results.json")


def test_runs_of_other_versions_are_read_with_what_they_have(folder, tmp_path):
    write_results(tmp_path / "results.json", run(request_of(folder, repeat=1)))
    document = json.loads((tmp_path / "results.json").read_text())
    for each in document["runs"]:
        del each["run"]["processor"], each["run"]["state"], each["texts"]
        each["run"]["of_a_later_version"] = 1
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert {run.info.processor for run in read_runs(tmp_path / "old.json")} == {""}
    assert all(run.complete for run in read_runs(tmp_path / "old.json"))


def test_without_a_warm_up_the_first_pass_is_measured_and_no_answers_are_compared(folder):
    _, loop = run(request_of(folder, "differs", repeat=1, warm_up=False))
    assert (folder / "turns").read_text().split() == ["embedded", "loop"]
    assert "answers_equal" not in loop.samples
    assert "runinference" in loop.info.versions
