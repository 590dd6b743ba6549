"""`runinference run --report`: written however the job ends, and never in its way."""

from __future__ import annotations

import json
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from runinference import ConfigurationError, DataError, MissingDependencyError, ModelLoadError, infer
from runinference.cli.app import app
from runinference.jobs.job import Job, run_job
from runinference.report import Recording, recording
from runinference.testing.fakes import CountingHandler, FailingHandler

from .conftest import Elements

HANDLER = """
from runinference import ModelHandler

class Double(ModelHandler):
    def load_model(self):
        return 2

    def run_inference(self, batch, model, inference_args=None):
        return [model * number for number in batch]

class Absent(Double):
    def load_model(self):
        raise FileNotFoundError("no model <here>")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"row-{i}", "number": i} for i in range(50)]
    (tmp_path / "in.jsonl").write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    (tmp_path / "models.py").write_text(HANDLER)
    return tmp_path


def command(*arguments):
    return CliRunner().invoke(app, ["run", *arguments])


def text_of(path):
    return Elements(path.read_text("utf-8")).text


def job(**options):
    handler = options.pop("handler", None) or CountingHandler()
    return Job(handler, "in.jsonl", "out.parquet", columns=["number"], report="run.html", **options)


def test_the_command_writes_a_report_and_says_where(folder):
    done = command(
        "models.py:Double", "in.jsonl", "out.jsonl", "--columns", "number", "--key", "id", "--report", "r.html"
    )
    assert done.exit_code == 0, done.output
    assert "Report       r.html" in done.stdout
    text = text_of(folder / "r.html")
    for said in ("in.jsonl", "out.jsonl", "Done, 1 row failed", "read", "{broken", "Reading", "Writing"):
        assert said in text


def test_what_is_counted_is_what_was_written(folder):
    result = run_job(job(handler=FailingHandler(lambda row: row == 7)))
    text = text_of(folder / "run.html")
    assert (result.rows, result.failed) == (49, 2)
    assert "Rows predicted 49" in text
    assert "Failed rows 2" in text
    assert "bad row 7" in text


def test_a_job_that_fails_has_a_report_that_says_why(folder):
    done = command("models.py:Absent", "in.jsonl", "out.jsonl", "--columns", "number", "--report", "r.html")
    assert done.exit_code == 1
    text = text_of(folder / "r.html")
    assert "The run did not reach its end" in text
    assert "no model <here>" in text
    assert "models.py" in text  # The user's own line.


def test_an_input_that_cannot_be_read_has_a_report(folder):
    (folder / "in.jsonl").write_bytes(b"")
    (folder / "in.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError):
        run_job(Job(CountingHandler(), "in.parquet", "out.parquet", report="run.html"))
    assert "DataError" in text_of(folder / "run.html")


def test_an_input_without_rows_has_a_report(folder):
    pq.write_table(pa.table({"number": pa.array([], pa.int64())}), "in.parquet")
    run_job(Job(CountingHandler(), "in.parquet", "out.parquet", report="run.html"))
    assert "The model was never run." in text_of(folder / "run.html")


def test_a_report_that_cannot_be_written_is_a_warning_and_the_job_is_done(folder, caplog):
    (folder / "run.html").mkdir()
    assert run_job(job()).rows == 50
    assert (folder / "out.parquet").exists()
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(
        "The report run.html was not written: DataError: The report cannot be written to run.html"
    )


def test_a_report_that_cannot_be_made_leaves_the_error_of_the_job(folder, caplog, monkeypatch):
    monkeypatch.setattr(recording, "peak_bytes", lambda: 1 / 0)

    class Absent(CountingHandler):
        def load_model(self):
            raise FileNotFoundError("no model")

    with pytest.raises(ModelLoadError):
        run_job(job(handler=Absent()))
    assert "ZeroDivisionError" in caplog.text
    assert not (folder / "run.html").exists()


def test_a_folder_that_is_missing_is_told_before_anything_is_read(folder):
    handler = CountingHandler()
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        run_job(Job(handler, "in.jsonl", "out.parquet", report="absent/run.html"))
    assert handler.log.loads == 0


def test_a_job_that_is_refused_has_no_report(folder):
    with pytest.raises(ConfigurationError):
        run_job(Job(CountingHandler(), "in.jsonl", "out.parquet", columns=["absent"], report="run.html"))
    assert not (folder / "run.html").exists()


def test_without_matplotlib_the_job_says_so_before_it_starts(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    handler = CountingHandler()
    with pytest.raises(MissingDependencyError, match=r"runinference\[report\]"):
        run_job(job(handler=handler))
    assert handler.log.loads == 0


@pytest.mark.parametrize("report", [None, "run.html"])
def test_only_for_a_report_a_thread_looks_at_the_metrics(folder, report):
    names = set()

    class Looks(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            names.update(thread.name for thread in threading.enumerate())
            return super().run_inference(batch, model, inference_args)

    assert run_job(Job(Looks(), "in.jsonl", "out.parquet", columns=["number"], report=report)).rows == 50
    assert ("runinference-timeline" in names) == (report is not None)


def test_the_time_of_writing_is_told_from_that_of_taking_results():
    with Recording("doubles") as watched:
        for _ in infer(watched.reading(range(20)), CountingHandler(), metrics=watched.metrics):
            with watched.writing(1):
                time.sleep(0.005)
        assert "Taking the results took " in str(watched.metrics.snapshot()["bottleneck"])
        watched.name_bottleneck()
    assert "Writing took " in str(watched.metrics.snapshot()["bottleneck"])
