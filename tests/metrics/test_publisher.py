"""Measurements on their way: servers that are down, full disks, processes that are killed."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runinference.metrics import Metrics
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.publisher import Publisher
from runinference.metrics.sinks import Rejected, Unavailable
from runinference.metrics.spool import Spool


class Server:
    """A destination that can be down, slow or choosy."""

    name = "server"

    def __init__(self):
        self.up = threading.Event()
        self.up.set()
        self.refuses = set()
        self.chokes_on = set()
        self.taken = []
        self.tried = threading.Event()
        self.closed = False

    def write(self, measurement):
        self.tried.set()
        if not self.up.is_set():
            raise Unavailable("server: connection refused")
        if measurement.values["a"] in self.refuses:
            raise Rejected("server: no such field")
        if measurement.values["a"] in self.chokes_on:
            "\udcff".encode()
        self.taken.append(measurement.values["a"])

    def close(self):
        self.closed = True


def measurement(value):
    return Measurement(RunInfo(name="run", commit=None), 0.0, {"a": float(value)})


def test_measurements_arrive_in_their_order(tmp_path):
    server = Server()
    publisher = Publisher([server], tmp_path)
    for value in range(50):
        publisher.publish(measurement(value))
    (delivery,) = publisher.close()
    assert server.taken == list(range(50))
    assert (delivery.written, delivery.kept, delivery.lost, delivery.problem) == (50, 0, 0, None)
    assert server.closed


def test_nothing_is_lost_while_a_server_is_down_for_a_while(tmp_path):
    server = Server()
    publisher = Publisher([server], tmp_path)
    publisher.publish(measurement(0))
    wait_until(lambda: server.taken == [0])
    server.up.clear()
    server.tried.clear()
    for value in range(1, 10):
        publisher.publish(measurement(value))
    assert server.tried.wait(10)
    server.up.set()
    (delivery,) = publisher.close(30)
    assert server.taken == list(range(10))
    assert (delivery.kept, delivery.lost) == (0, 0)


def test_what_a_server_never_took_the_next_run_delivers(tmp_path, caplog):
    server = Server()
    server.up.clear()
    publisher = Publisher([server], tmp_path)
    for value in range(5):
        publisher.publish(measurement(value))
    with caplog.at_level(logging.WARNING):
        (delivery,) = publisher.close(0.2)
    assert (delivery.written, delivery.kept, delivery.lost) == (0, 5, 0)
    assert delivery.problem == "server: connection refused"
    server.up.set()
    (delivery,) = Publisher([server], tmp_path).close()
    assert server.taken == list(range(5))
    assert delivery.kept == 0


def test_a_server_that_is_down_is_logged_once(tmp_path, caplog):
    server = Server()
    server.up.clear()
    publisher = Publisher([server], tmp_path)
    for value in range(5):
        publisher.publish(measurement(value))
    publisher.close(1.5)
    assert [record.getMessage() for record in caplog.records if "published" in record.getMessage()] == [
        "Metrics could not be published at once: server: connection refused"
    ]


def test_a_measurement_that_is_refused_does_not_hold_up_the_others(tmp_path):
    server = Server()
    server.refuses = {2.0}
    publisher = Publisher([server], tmp_path)
    for value in range(5):
        publisher.publish(measurement(value))
    (delivery,) = publisher.close()
    assert server.taken == [0, 1, 3, 4]
    assert (delivery.lost, delivery.problem) == (1, "server: no such field; this measurement is lost")


def test_a_measurement_that_a_destination_chokes_on_does_not_hold_up_the_others(tmp_path):
    server = Server()
    server.chokes_on = {2.0}
    publisher = Publisher([server], tmp_path)
    for value in range(5):
        publisher.publish(measurement(value))
    (delivery,) = publisher.close()
    assert server.taken == [0, 1, 3, 4]
    assert delivery.lost == 1
    assert "server: 'utf-8' codec can't encode" in delivery.problem
    assert delivery.problem.endswith("this measurement is lost")


def test_one_destination_does_not_hold_up_another(tmp_path):
    down, up = Server(), Server()
    down.up.clear()
    down.name = "down"
    publisher = Publisher([down, up], tmp_path)
    publisher.publish(measurement(1))
    wait_until(lambda: up.taken == [1])
    deliveries = publisher.close(0.2)
    assert [delivery.kept for delivery in deliveries] == [1, 0]


def test_publishing_does_not_wait_for_a_server_that_hangs(tmp_path):
    server = Server()
    hang = threading.Event()
    server.write = lambda measurement: hang.wait(30)
    publisher = Publisher([server], tmp_path)
    for value in range(100):
        publisher.publish(measurement(value))
    assert len(Spool(tmp_path, server.name)) >= 99
    hang.set()
    publisher.close()


def test_without_room_on_disk_measurements_are_still_delivered(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    server = Server()
    publisher = Publisher([server], blocked)
    for value in range(3):
        publisher.publish(measurement(value))
    (delivery,) = publisher.close()
    assert server.taken == [0, 1, 2]
    assert "cannot be kept on disk: Not a directory" in delivery.problem


def test_in_memory_too_the_oldest_go_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr("runinference.metrics.publisher._MOST_IN_MEMORY", 3)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    server = Server()
    server.up.clear()
    publisher = Publisher([server], blocked)
    for value in range(5):
        publisher.publish(measurement(value))
    server.up.set()
    (delivery,) = publisher.close(30)
    assert server.taken == [2, 3, 4]
    assert (delivery.written, delivery.lost) == (3, 2)


def test_it_says_whom_it_waits_for(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("runinference.metrics.publisher._QUIET_S", 0.01)
    server, hang = Server(), threading.Event()
    server.write = lambda measurement: hang.wait(30)
    publisher = Publisher([server], tmp_path)
    publisher.publish(measurement(1))
    # The server works again as soon as somebody says that it is waited for.
    monkeypatch.setattr(caplog.handler, "emit", lambda record: (caplog.records.append(record), hang.set()))
    (delivery,) = publisher.close(60)
    (record,) = caplog.records
    assert record.getMessage() == "Waiting up to 60 s more for server to take the metrics"
    assert (delivery.written, delivery.kept) == (1, 0)


def test_without_anything_to_wait_for_it_says_nothing(tmp_path, caplog):
    publisher = Publisher([Server()], tmp_path)
    publisher.publish(measurement(1))
    publisher.close()
    assert caplog.records == []


def test_a_full_spool_lets_the_oldest_go_and_counts_them(tmp_path):
    spool = Spool(tmp_path, "server", most_bytes=3 * len(measurement(0).to_json()) + 50)
    for value in range(10):
        spool.put(measurement(value))
    assert [each.values["a"] for _, each in spool] == [7, 8, 9]
    assert spool.dropped == 7


def test_the_order_is_kept_when_the_clock_goes_backwards(tmp_path, monkeypatch):
    spool = Spool(tmp_path, "server")
    for value, now in enumerate([1000, 500, 2000, 1]):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        spool.put(measurement(value))
    assert [each.values["a"] for _, each in spool] == [0, 1, 2, 3]


def test_the_order_is_kept_when_the_clock_goes_backwards_between_two_runs(tmp_path, monkeypatch):
    most_bytes = 3 * len(measurement(0).to_json()) + 50
    for value, now in enumerate([3000, 2000, 1000, 5]):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        Spool(tmp_path, "server", most_bytes).put(measurement(value))
    assert [each.values["a"] for _, each in Spool(tmp_path, "server")] == [1, 2, 3]


def test_what_one_process_delivers_no_other_delivers(tmp_path):
    pytest.importorskip("fcntl")
    one, other = Spool(tmp_path, "server"), Spool(tmp_path, "server")
    one.put(measurement(1))
    delivering = iter(one)
    path, _ = next(delivering)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: list(other))
        with pytest.raises(TimeoutError):
            waiting.result(0.05)
        one.remove(path)
        delivering.close()
        assert waiting.result(20) == []


def test_what_one_process_could_not_deliver_another_does(tmp_path):
    one, other = Spool(tmp_path, "server"), Spool(tmp_path, "server")
    one.put(measurement(1))
    delivering = iter(one)
    next(delivering)
    delivering.close()
    assert [each.values["a"] for _, each in other] == [1]


def test_two_publishers_to_one_destination_deliver_each_measurement_once(tmp_path):
    servers = [Server(), Server()]
    publishers = [Publisher([server], tmp_path) for server in servers]
    for value in range(100):
        publishers[value % 2].publish(measurement(value))
    deliveries = [delivery for publisher in publishers for delivery in publisher.close(30)]
    assert sorted(servers[0].taken + servers[1].taken) == list(range(100))
    assert [(delivery.kept, delivery.problem) for delivery in deliveries] == [(0, None)] * 2


def test_what_a_killed_process_left_unfinished_is_removed_after_a_while(tmp_path):
    Spool(tmp_path, "server").put(measurement(0))
    ((path, _),) = Spool(tmp_path, "server")
    old, new = path.with_name("1.tmp"), path.with_name("2.tmp")
    for unfinished in (old, new):
        unfinished.write_text("{")
    os.utime(old, (0, 0))
    Spool(tmp_path, "server").put(measurement(1))
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_that_holds_something_else_is_removed(tmp_path):
    spool = Spool(tmp_path, "server")
    spool.put(measurement(1))
    ((path, _),) = spool
    for number, content in enumerate(["", "{", "[1]", '{"run": {}}', "null"]):
        path.with_name(f"0{number}.json").write_text(content)
    assert [each.values["a"] for _, each in spool] == [1]
    assert len(spool) == 1


def test_destinations_do_not_see_each_others_measurements(tmp_path):
    Spool(tmp_path, "one").put(measurement(1))
    assert len(Spool(tmp_path, "other")) == 0


KILLED = """
import os, sys, threading
from pathlib import Path
from runinference.metrics.measurement import Measurement, RunInfo
from runinference.metrics.spool import Spool

spool = Spool(Path(sys.argv[1]), "server")
run = RunInfo(name="killed", commit=None)
values = {f"metric {number}": 1.0 for number in range(2000)}
print("go", flush=True)
while True:
    spool.put(Measurement(run, 0.0, values))
"""


def test_whoever_is_killed_in_the_middle_of_writing_leaves_nothing_broken(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"go\n"
    spool = Spool(tmp_path, "server")
    wait_until(lambda: len(spool) > 3)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    kept = len(spool)
    assert sum(len(each.values) == 2000 for _, each in spool) == kept
    assert spool.dropped == 0


def test_values_that_are_no_finite_numbers_are_left_out():
    found = Measurement.of(RunInfo(name="x"), {"a": 1, "b": float("nan"), "c": float("inf"), "why": "settled"})
    assert found.values == {"a": 1}
    assert found.texts == {"why": "settled"}


def test_a_snapshot_is_measured_by_its_flat_names():
    metrics = Metrics()
    metrics.record({"num_inferences": 3}, {"batch_size": 3})
    found = Measurement.of(RunInfo(name="x"), metrics.snapshot(), timestamp=5.0)
    assert (found.values["num_inferences"], found.values["batch_size_MEAN"], found.timestamp) == (3, 3, 5.0)


def test_a_measurement_survives_json():
    before = Measurement(RunInfo(name="ä \n", options={"a": [1]}), 1.5, {"x": 0.1}, {"t": "u"})
    assert Measurement.from_json(before.to_json()) == before


def wait_until(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)
