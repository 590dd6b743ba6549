"""Metrics on a disk that is really full: nothing is broken, and all goes on when there is room again."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress

import pytest

from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.publisher import Publisher
from runinference.metrics.sinks import Unavailable, open_sink
from runinference.metrics.spool import Spool

VALUES = {f"metric {number}": float(number) for number in range(100)}


@pytest.fixture
def disk(tmp_path):
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=30)
    if done.returncode:
        pytest.skip(f"no disk can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


def fill(disk):
    """Takes all that is left of a disk; the file that does."""
    junk = disk / "junk"
    with junk.open("wb", buffering=0) as file:
        for size in (2**20, 512, 512):
            with suppress(OSError):
                file.write(b"x" * size)
    assert shutil.disk_usage(disk).free == 0
    return junk


def measurement(value):
    return Measurement(RunInfo(name="run", commit=None), 0.0, {**VALUES, "value": float(value)})


class Server:
    name = "server"

    def __init__(self):
        self.taken = []

    def write(self, measurement):
        self.taken.append(measurement.values["value"])

    def close(self):
        pass


def test_without_room_for_the_spool_measurements_are_still_delivered(disk):
    fill(disk)
    server = Server()
    publisher = Publisher([server], disk / "spool")
    for value in range(5):
        publisher.publish(measurement(value))
    (delivery,) = publisher.close()
    assert server.taken == [0, 1, 2, 3, 4]
    assert (delivery.written, delivery.kept, delivery.lost) == (5, 0, 0)
    assert "server: measurements cannot be kept on disk: No space left on device" in delivery.problem


def test_what_did_not_fit_leaves_nothing_behind_and_is_kept_when_there_is_room_again(disk):
    spool = Spool(disk / "spool", "server")
    spool.put(measurement(0))
    junk = fill(disk)
    with pytest.raises(OSError, match="No space left"):
        spool.put(measurement(1))
    junk.unlink()
    spool.put(measurement(2))
    assert [each.values["value"] for _, each in spool] == [0, 2]
    assert len(list((disk / "spool").rglob("*.*"))) == 2


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_a_file_of_metrics_stays_whole_and_grows_when_there_is_room_again(disk, kind):
    path = disk / "metrics"
    sink = open_sink(f"{kind}:{path}")
    sink.write(measurement(0))
    junk = fill(disk)
    with pytest.raises(Unavailable, match=r"No space left|full"):
        write_on(sink)
    before = stored(kind, path)
    assert before == list(range(len(before)))
    junk.unlink()
    sink.write(measurement(100))
    assert stored(kind, path) == [*before, 100]


def write_on(sink):
    for value in range(1, 10):  # The last page of the file has room for some.
        sink.write(measurement(value))


def stored(kind, path):
    if kind == "jsonl":
        return [json.loads(line)["values"]["value"] for line in path.read_text().splitlines()]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [
            value for (value,) in database.execute("SELECT value FROM metrics WHERE metric = 'value' ORDER BY value")
        ]
