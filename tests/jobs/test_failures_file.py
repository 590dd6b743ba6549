"""The file of rows that were set aside."""

import json
import math
import os
import threading
from dataclasses import dataclass

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

from runinference.errors import ConfigurationError, DataError  # noqa: E402
from runinference.jobs.writers.failures import FailuresFile  # noqa: E402
from runinference.prediction import Failure, PredictionResult  # noqa: E402


def failure(example, index=0):
    return Failure.from_exception(ValueError("bad"), example=example, index=index, stage="inference")


def lines(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_failures_can_be_read_while_the_job_runs(tmp_path):
    path = tmp_path / "failures.jsonl"
    with FailuresFile(path) as failures:
        failures(failure({"a": 1}, 7))
        assert lines(path) == [
            {
                "index": 7, "key": None, "stage": "inference", "error_type": "ValueError", "message": "bad",
                "attempts": 1, "model_id": None, "example": {"a": 1}, "traceback": "ValueError: bad\n",
            }
        ]  # fmt: skip
        failures.write(failure("second"))
    assert [line["example"] for line in lines(path)] == [{"a": 1}, "second"]
    assert failures.count == 2


def test_an_old_file_is_replaced_and_no_failures_leave_no_file(tmp_path):
    path = tmp_path / "new" / "failures.jsonl"
    with FailuresFile(path) as failures:
        failures(failure(1))
    with FailuresFile(path):
        assert path.read_bytes() == b""
    assert not path.exists()


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


@dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (np.array([[1, 2]]), [[1, 2]]),
        (np.float32(0.5), 0.5),
        (np.array([math.nan]), [None]),
        (np.datetime64("2020-01-01"), "2020-01-01"),
        (pa.scalar(3), 3),
        (pa.array([1, None]), [1, None]),
        (pa.RecordBatch.from_pydict({"a": [1]}), [{"a": 1}]),
        (b"\xff", "/w=="),
        ({1: (math.inf, {2})}, {"1": [None, [2]]}),
        ("half \ud800", "half \\ud800"),
        (Point(1.5), {"x": 1.5}),
        (PredictionResult("e", "i"), {"example": "e", "inference": "i", "model_id": None}),
        (Point, repr(Point)),
        (Broken(), "<Broken, whose repr fails: RuntimeError>"),
        (True, True),
        (2**80, 2**80),
    ],
)
def test_every_example_has_a_form(tmp_path, example, expected):
    with FailuresFile(tmp_path / "f.jsonl") as failures:
        failures(failure(example))
    assert lines(tmp_path / "f.jsonl")[0]["example"] == expected


def test_an_example_that_holds_itself_ends(tmp_path):
    loop = []
    loop.append(loop)
    with FailuresFile(tmp_path / "f.jsonl") as failures:
        failures(failure(loop))
    assert "[[...]]" in (tmp_path / "f.jsonl").read_text()


def test_long_values_are_cut_with_a_note(tmp_path):
    with FailuresFile(tmp_path / "f.jsonl") as failures:
        failures(failure({"long": "x" * 25_000, "short": 1}))
        failures(failure(np.zeros(10_000)))
    first, second = (line["example"] for line in lines(tmp_path / "f.jsonl"))
    assert first == {"long": "x" * 10_000 + "… (cut from 25,000 characters)", "short": 1}
    assert second.startswith("[0.0, 0.0")
    assert second.endswith("… (cut from 50,000 characters)")


def test_threads_do_not_mix_their_lines(tmp_path):
    with FailuresFile(tmp_path / "f.jsonl") as failures:

        def work(number):
            for index in range(200):
                failures(failure("x" * 500, number * 1000 + index))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(line["index"] for line in lines(tmp_path / "f.jsonl")) == sorted(
        number * 1000 + index for number in range(8) for index in range(200)
    )


def test_where_it_cannot_be_written_is_said(tmp_path):
    with pytest.raises(DataError, match=r"neither the folder .* exists"):
        FailuresFile(tmp_path / "a/b/f.jsonl")
    with pytest.raises(ConfigurationError, match=r"'memory://f.jsonl' must be local"):
        FailuresFile("memory://f.jsonl")
    with pytest.raises(DataError, match=r"cannot write .*: Is a directory"):
        FailuresFile(tmp_path)
    failures = FailuresFile(tmp_path / "f.jsonl")
    failures.close()
    failures.close()
    with pytest.raises(DataError, match="it was closed already"):
        failures(failure(1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_said():
    failures = FailuresFile("/dev/full")
    with pytest.raises(DataError, match="disk full while writing /dev/full"):
        failures(failure(1))
    failures.count = 1  # so that closing does not try to remove the device
    failures.close()
