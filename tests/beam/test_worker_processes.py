"""Models in processes beside those of the workers, and processes that die."""

import os
import signal
import sys
import textwrap

import apache_beam as beam
import psutil
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from handlers_for_workers import ExitingHandler, KillingHandler, NotingHandler, note_process, processes_noted

from runinference.beam import RunInference

EACH_RUNNER = pytest.mark.parametrize("runner", ["in memory", "processes"], indirect=True)


def inferences(results):
    return results | "Inferences" >> beam.Map(lambda result: result.inference)


@pytest.mark.parametrize(
    ("runner", "copies"), [("processes", 1), ("processes", 2), ("job server", 1)], indirect=["runner"]
)
def test_a_shared_model_is_loaded_once_for_each_copy_and_in_no_worker(runner, copies, machine, tmp_path):
    loads, workers = tmp_path / "loads", tmp_path / "workers"
    loads.mkdir()
    workers.mkdir()
    handler = NotingHandler(loads, bad={7}, large_model=True, model_copies=copies, max_batch_size=4)
    with beam.Pipeline(options=PipelineOptions(runner)) as pipeline:
        rows = pipeline | beam.Create(range(200)) | beam.Reshuffle()
        good, dead = rows | RunInference(handler).with_exception_handling()
        assert_that(inferences(good), equal_to([2 * row for row in range(200) if row != 7]))
        letters = dead.failed_inferences | beam.Map(lambda letter: (letter[0], letter[1][0]))
        assert_that(letters, equal_to([(7, ValueError)]), label="DeadLetters")
        _ = good | beam.Map(lambda _: note_process(workers))
    loaded_in, worked_in = processes_noted(loads), set(processes_noted(workers))
    assert len(loaded_in) == len(set(loaded_in)) == copies
    assert worked_in
    assert not worked_in & set(loaded_in)
    machine.assert_nothing_is_left()


@EACH_RUNNER
def test_use_model_manager_holds_the_model_in_a_process_of_its_own(runner, machine, tmp_path):
    with beam.Pipeline(options=PipelineOptions(runner)) as pipeline:
        rows = pipeline | beam.Create(range(20)) | beam.Reshuffle()
        results = rows | RunInference(NotingHandler(tmp_path), use_model_manager=True)
        assert_that(inferences(results), equal_to(range(0, 40, 2)))
    (loaded_in,) = processes_noted(tmp_path)
    assert loaded_in != os.getpid()
    machine.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("runner", "handler_class"),
    [("in memory", ExitingHandler), ("in memory", KillingHandler), ("processes", KillingHandler)],
    indirect=["runner"],
)
def test_an_element_that_ends_its_process_becomes_a_dead_letter(runner, handler_class, machine, tmp_path):
    handler = handler_class(tmp_path, bad={13})
    with beam.Pipeline(options=PipelineOptions(runner)) as pipeline:
        rows = pipeline | beam.Create(range(40)) | beam.Reshuffle()
        good, dead = rows | RunInference(handler).with_exception_handling(use_subprocess=True)
        assert_that(inferences(good), equal_to([2 * row for row in range(40) if row != 13]))
        letters = dead.failed_inferences | beam.Map(lambda letter: (letter[0], letter[1][0].__name__))
        assert_that(letters, equal_to([(13, "ModelProcessDiedError")]), label="DeadLetters")
    machine.assert_nothing_is_left()


DYING = """
    import sys

    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from handlers_for_workers import KillingHandler, NotingHandler, kill_at

    from runinference.beam import RunInference

    _, folder, where, *options = sys.argv

    if __name__ == "__main__":
        with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
            rows = pipeline | beam.Create(range(40)) | beam.Reshuffle()
            if where == "in the model":
                _ = rows | RunInference(KillingHandler(folder, bad={13}))
            else:
                results = rows | RunInference(NotingHandler(folder, large_model=True))
                _ = results | beam.Map(lambda result: kill_at(result.example, 13, folder))
"""


@pytest.mark.parametrize("where", ["in the model", "beside a shared model"])
def test_nothing_is_left_of_a_pipeline_of_which_a_worker_was_killed(where, machine, tmp_path):
    # Beam's local runners wait for a killed worker without end, whatever it ran; so a user ends the pipeline.
    os.mkfifo(tmp_path / "killed")
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(DYING))
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    with open(tmp_path / "log", "w") as log:
        pipeline = psutil.Popen([sys.executable, script, tmp_path, where, *options], stdout=log, stderr=log)
    killed = int((tmp_path / "killed").read_text())
    _, alive = psutil.wait_procs([each for each in machine.processes() if each.pid == killed], timeout=60)
    assert alive == []
    pipeline.send_signal(signal.SIGINT)
    assert pipeline.wait(60) != 0
    machine.assert_nothing_is_left()
