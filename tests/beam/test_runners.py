"""The transform gives the same on every runner that runs on one machine."""

import os
import socket
import subprocess
import sys
import textwrap
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker.statesampler import StateSampler, get_current_tracker, set_current_tracker
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.counters import CounterFactory
from apache_beam.utils.timestamp import Timestamp
from handlers_for_workers import HeavyHandler, NotingHandler, processes_noted

from runinference import ConfigurationError, infer
from runinference.beam import RunInference
from runinference.beam.dofn import RunModel
from runinference.beam.worker import EngineSpec
from runinference.testing.fakes import CountingHandler, FailingHandler

EACH_RUNNER = pytest.mark.parametrize("runner", ["in memory", "threads", "processes", "job server"], indirect=True)


def counters(result):
    return {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}


def distributions(result):
    return {each.key.metric.name: each.committed for each in result.metrics().query()["distributions"]}


@EACH_RUNNER
def test_predictions_dead_letters_metrics_and_loads_are_the_same_on_each_runner(runner, machine, tmp_path):
    handler = NotingHandler(tmp_path, bad={3, 77}).with_preprocess_fn(int).with_postprocess_fn(lambda r: r.inference)
    pipeline = beam.Pipeline(options=PipelineOptions(runner))
    texts = ["no number", *map(str, range(100))]
    good, dead = pipeline | beam.Create(texts) | beam.Reshuffle() | RunInference(handler).with_exception_handling()
    assert_that(good, equal_to([2 * row for row in range(100) if row not in (3, 77)]))
    failed = dead.failed_inferences | beam.Map(lambda letter: (letter[0], letter[1][0], letter[1][1]))
    wanted = [(row, ValueError, f"ValueError('bad row {row}')") for row in (3, 77)]
    assert_that(failed, equal_to(wanted), label="FailedInferences")
    unread = dead.failed_preprocessing[0] | "Texts" >> beam.Map(lambda letter: (letter[0], letter[1][0]))
    assert_that(unread, equal_to([("no number", ValueError)]), label="FailedPreprocessing")
    result = pipeline.run()
    result.wait_until_finish()

    assert counters(result)["num_inferences"] == 98
    assert counters(result)["failed_examples"] == 2
    assert distributions(result)["inference_request_batch_size"].sum == 100
    loads = processes_noted(tmp_path)
    workers = 2 if "--direct_num_workers=2" in runner else 1
    assert 1 <= len(loads) == len(set(loads)) <= workers
    assert distributions(result)["load_model_latency_milli_secs"].count == len(loads)
    machine.assert_nothing_is_left()


def test_many_bundles_at_a_time_in_one_process_load_one_model(tmp_path):
    options = PipelineOptions(["--direct_running_mode=multi_threading", "--direct_num_workers=8"])
    pipeline = beam.Pipeline(options=options)
    results = pipeline | beam.Create(range(100)) | beam.Reshuffle() | RunInference(NotingHandler(tmp_path))
    assert_that(results | beam.Map(lambda result: result.inference), equal_to(range(0, 200, 2)))
    result = pipeline.run()
    result.wait_until_finish()
    assert processes_noted(tmp_path) == [os.getpid()]
    assert counters(result)["num_inferences"] == 100


@EACH_RUNNER
def test_an_exception_of_the_model_fails_the_pipeline_with_its_text(runner, machine, tmp_path):
    with pytest.raises(Exception, match="bad row 3") as caught:  # noqa: PT012
        pipeline = beam.Pipeline(options=PipelineOptions(runner))
        _ = pipeline | beam.Create(range(10)) | RunInference(NotingHandler(tmp_path, bad={3}))
        pipeline.run().wait_until_finish()
    assert isinstance(caught.value, (ValueError, RuntimeError))
    machine.assert_nothing_is_left()


SCRIPT = """
    import sys

    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.testing.util import assert_that, equal_to

    from runinference.beam import ModelHandler, PredictionResult, RunInference

    FACTOR = 3


    class Times(ModelHandler):
        def load_model(self):
            return FACTOR

        def run_inference(self, batch, model, inference_args=None):
            return [PredictionResult(example, times(example, model)) for example in batch]


    def times(example, factor):
        return example * factor


    def plus_one(example):
        return example + FACTOR - 2


    if __name__ == "__main__":
        with beam.Pipeline(options=PipelineOptions(sys.argv[1:])) as pipeline:
            results = pipeline | beam.Create([1, 2, 3]) | RunInference(Times().with_preprocess_fn(plus_one))
            assert_that(results, equal_to([PredictionResult(2, 6), PredictionResult(3, 9), PredictionResult(4, 12)]))
        print("right")
"""


@pytest.mark.parametrize(
    ("runner", "session"),
    [("processes", []), ("processes", ["--save_main_session"]), ("job server", [])],
    indirect=["runner"],
    ids=["processes", "save_main_session", "job server"],
)
def test_a_handler_defined_in_a_script_runs_in_worker_processes(runner, session, machine, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run([sys.executable, script, *runner, *session], capture_output=True, text=True, timeout=100)
    assert done.stdout.endswith("right\n"), done.stderr
    machine.assert_nothing_is_left()


def sent(handler):
    """What a runner is given of a pipeline, in bytes."""
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([1]) | RunInference(handler)
    return pipeline.to_runner_api().SerializeToString()


def test_a_pipeline_is_sent_without_the_model_that_its_handler_loaded_before(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(os.urandom(1_000_000))  # Nothing that could be compressed.
    handler = HeavyHandler(weights)
    before = len(sent(handler))
    assert list(infer([1, 2], handler)) == [1_000_000] * 2
    assert len(sent(handler)) == pytest.approx(before, abs=1000)
    assert before < 100_000


def test_a_handler_that_cannot_be_sent_is_refused_with_the_attribute_that_is_to_blame():
    handler = CountingHandler()
    message = r"CountingHandler cannot be sent to the workers: its attribute connection is a socket\.socket"
    with socket.socket() as handler.connection, pytest.raises(ConfigurationError, match=message):
        RunInference(handler)


class Worker:
    """Runs bundles by hand, as a worker does, each with a container of its own for its metrics."""

    def __init__(self, dofn):
        self.dofn = dofn
        dofn.setup()

    def run(self, rows, ends=True):
        """The inferences of a bundle and what it recorded; a bundle that does not end has failed."""
        container = MetricsContainer("RunInference")
        sampler = StateSampler("worker", CounterFactory())
        set_current_tracker(sampler)  # Of this thread; each bundle has one, for a sampler keeps its first container.
        with sampler.scoped_state("RunInference", "process-msecs", metrics_container=container):
            self.dofn.start_bundle()
            results = [
                result
                for row in rows
                for result in self.dofn.process(row, None, None, GlobalWindows.windowed_value(row, Timestamp(0))) or ()
            ]
            if ends:
                results += self.dofn.finish_bundle()
        recorded = container.get_cumulative()
        return [result.value.inference for result in results], {
            key.metric.name: value for key, value in [*recorded.counters.items(), *recorded.distributions.items()]
        }


def run_model(handler):
    spec = EngineSpec(tag=uuid.uuid4().hex, handler=handler, namespace="test")
    return RunModel(spec, prebatched=False, catching=None, records_metrics=True)


@pytest.fixture(autouse=True)
def tracker_of_this_thread():
    before = get_current_tracker()
    yield
    set_current_tracker(before)


@pytest.mark.parametrize("ends", [True, False], ids=["after its end", "in the midst"])
def test_a_bundle_that_is_retried_counts_its_elements_once(ends):
    worker = Worker(run_model(CountingHandler()))
    worker.run(range(5), ends)
    results, recorded = worker.run(range(5))
    assert results == [0, 2, 4, 6, 8]
    assert recorded["num_inferences"] == 5
    assert recorded["inference_request_batch_size"].sum == 5
    worker.dofn.teardown()


def test_a_bundle_after_one_that_raised_has_results_of_its_own():
    worker = Worker(run_model(FailingHandler({3})))
    with pytest.raises(ValueError, match="bad row 3"):
        worker.run(range(5))
    results, recorded = worker.run([10, 11])
    assert results == [20, 22]
    assert recorded["num_inferences"] == 2
    worker.dofn.teardown()


def test_bundles_of_many_threads_share_batches_and_are_counted_once():
    threads, bundles = 16, 50
    sent = pickler.dumps(run_model(CountingHandler()))
    together = threading.Barrier(threads)

    def work(thread):
        worker = Worker(pickler.loads(sent))
        together.wait()
        done = [worker.run([row]) for row in range(thread * bundles, (thread + 1) * bundles)]
        together.wait()
        worker.dofn.teardown()
        return done

    with ThreadPoolExecutor(threads) as pool:
        done = [bundle for bundles_of_thread in pool.map(work, range(threads)) for bundle in bundles_of_thread]
    rows = threads * bundles
    assert [results for results, _ in done] == [[2 * row] for row in range(rows)]
    total = Counter()
    for _, recorded in done:
        assert recorded["num_inferences"] == 1
        sizes = recorded.get("inference_request_batch_size")
        if sizes is not None:
            total.update(batches=sizes.count, rows_of_batches=sizes.sum)
        loads = recorded.get("load_model_latency_milli_secs")
        total.update(calls=recorded.get("inference_calls", 0), loads=loads.count if loads else 0)
    assert total["rows_of_batches"] == rows
    assert total["batches"] == total["calls"] < rows / 2
    assert total["loads"] == 1
