"""The live view: what is drawn on a terminal while a job runs."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from runinference import infer
from runinference.cli.live import LiveView
from runinference.report import Recording
from runinference.testing.fakes import CountingHandler, FailingHandler

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def drawn(handler, rows, width=120):
    """The text of the last state."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with Recording("a job") as recording, LiveView(recording, len(rows), console) as view:
        results = list(
            infer(recording.reading(rows), handler, metrics=recording.metrics, on_failure=recording.failures)
        )
        view.update(len(results), recording.failures.count)
    return console.file.getvalue()


def test_the_last_state_has_rows_batches_and_stages():
    text = drawn(CountingHandler(max_batch_size=10), list(range(100)))
    assert "100% ━━━━━━━━━━━━━━━━━━━━ 100/100 rows" in text
    assert re.search(r"Batches +\d+ of \d+ rows? on average · .* each, p95 ", text)
    assert "Model " in text
    assert "The model was" in text
    assert "Failures" not in text


def test_what_the_device_tells_is_shown_where_there_is_one():
    class OnGpu(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            recording.metrics.record({}, {"device_utilization_percent": 62.6, "device_memory_used_bytes": 3.2e9})
            return super().run_inference(batch, model, inference_args)

    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    with Recording("a job") as recording, LiveView(recording, 3, console):
        list(infer(range(3), OnGpu(), metrics=recording.metrics))
    assert re.search(r"Device +busy 63 % on average · 3.2 GB of its memory in use at most", console.file.getvalue())
    assert "Device" not in drawn(CountingHandler(), [1])


def test_failures_are_shown_with_their_reasons():
    text = drawn(FailingHandler({7, 8}), list(range(100)))
    assert re.search(r"Failures +2 rows", text)
    assert "2 × inference: ValueError: bad row …" in text


def test_what_rows_hold_is_text_and_not_markup():
    class Bad(CountingHandler):
        def run_inference(self, batch, model, inference_args=None):
            if "x" in batch:
                raise ValueError("[bold red]danger[/] [/]")
            return super().run_inference(batch, model, inference_args)

    assert "[bold red]danger[/] [/]" in drawn(Bad(), ["a", "x", "b"])


def test_no_rows_and_a_narrow_terminal_do_no_harm():
    assert "none yet" in drawn(CountingHandler(), [])
    assert drawn(FailingHandler({1}), list(range(10)), width=20)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
def test_on_a_terminal_the_command_draws_it(folder):
    ours, theirs = pty.openpty()
    command = [
        "-m",
        "runinference",
        "run",
        "sklearn:model.joblib",
        "data.parquet",
        "out.parquet",
        "--key",
        "id",
        "--live",
    ]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    with open(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=theirs
        )
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = screen.read(65536)
            except OSError:  # The other end is closed.
                break
            if not part:
                break
            seen += part
    assert process.wait() == 0
    text = ESCAPES.sub("", seen.decode())
    assert "300/300 rows" in text
    assert "Batches" in text


def test_without_a_terminal_the_command_shows_plain_progress(run):
    done = run("run", "sklearn:model.joblib", "data.parquet", "out.parquet", "--key", "id", "--live")
    assert done.returncode == 0, done.stderr
    assert "300/300 rows" in done.stderr
    assert "Batches" not in done.stderr
