"""Whoever publishes is killed at any moment, again and again: each measurement arrives whole, and once."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest

from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.publisher import Publisher
from runinference.metrics.sinks import open_sink

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")

VALUES = 300
KILLS = 8

PUBLISHING = """
import sys
from pathlib import Path
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.publisher import Publisher

folder, addresses = Path(sys.argv[1]), sys.argv[2:]
publisher = Publisher(addresses, folder)
run = RunInfo("killed", commit=None)
values = {f"metric {number}": 1.0 for number in range(300)}
for number in range(1_000_000):
    publisher.publish(Measurement(run, float(number), values))
    print(run.test_id, number, flush=True)
"""

WRITING = """
import sys
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.sinks import open_sink

sink = open_sink(sys.argv[1])
run = RunInfo("killed", commit=None)
values = {f"metric {number}": 1.0 for number in range(300)}
for number in range(1_000_000):
    sink.write(Measurement(run, float(number), values))
    print(run.test_id, number, flush=True)
"""


def killed(program, *arguments, pause):
    """Starts a program, kills it so many seconds after its first line, and returns what it said was done."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        lines = [child.stdout.readline()]
        time.sleep(pause)
        child.kill()
        lines += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    pairs = [line.split() for line in lines if line.endswith("\n")]
    return {(test_id, float(number)) for test_id, number in pairs}


def pauses():
    """Moments, the same in each run of the test."""
    return [random.Random(number).uniform(0, 0.05) for number in range(KILLS)]


def stored(kind, path):
    """How many values there are of each measurement; each line, each row must be readable."""
    if kind == "jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found = Counter((line["run"]["test_id"], line["timestamp"]) for line in lines)
        assert set(found.values()) == {1}
        return {(line["run"]["test_id"], line["timestamp"]): len(line["values"]) for line in lines}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = database.execute("SELECT test_id, timestamp, count(*) FROM metrics GROUP BY 1, 2").fetchall()
    return {(test_id, timestamp): count for test_id, timestamp, count in rows}


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_a_file_has_each_measurement_whole_or_not_at_all(tmp_path, kind):
    path = tmp_path / "metrics"
    done = set()
    for pause in pauses():
        done |= killed(WRITING, f"{kind}:{path}", pause=pause)
        # The next to write makes whole what was left.
        open_sink(f"{kind}:{path}").write(Measurement(RunInfo("last", commit=None), 0.0, {"a": 1.0}))
        found = stored(kind, path)
        assert done <= found.keys()
        assert set(found.values()) <= {VALUES, 1}


def test_what_was_published_arrives_with_the_next_run(tmp_path):
    paths = {kind: tmp_path / f"metrics.{kind}" for kind in ("sqlite", "jsonl")}
    addresses = [f"{kind}:{path}" for kind, path in paths.items()]
    done = set()
    for pause in pauses():
        done |= killed(PUBLISHING, tmp_path / "spool", *addresses, pause=pause)
    deliveries = Publisher(addresses, tmp_path / "spool").close(60)
    assert [(each.kept, each.lost) for each in deliveries] == [(0, 0), (0, 0)]
    for kind, path in paths.items():
        found = stored(kind, path)
        assert done <= found.keys()
        assert set(found.values()) == {VALUES}
