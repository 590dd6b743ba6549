"""Copies of a model that die, or their host."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import hosted_calls as calls
import hosted_handlers as handlers
import pytest
from hosted_handlers import wait_until
from hosted_world import ON_LINUX, a_world

from runinference import InferenceTimeoutError, ModelFaultError, infer
from runinference.errors import ModelProcessDiedError, is_transient
from runinference.handler import ModelHandler
from runinference.models.hosted import hosted_model

pytestmark = ON_LINUX


@pytest.fixture
def world(monkeypatch):
    with a_world(monkeypatch) as world:
        yield world


@pytest.fixture
def busy(world):
    """Keeps a copy busy until a file is there, and gives the future of that call."""
    with ThreadPoolExecutor(1) as pool:

        def start(model):
            future = pool.submit(model.run_inference, [calls.wait_for, world.folder / "busy", world.folder / "go"])
            wait_until((world.folder / "busy").exists)
            return future

        yield start
        (world.folder / "go").touch()


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ([calls.kill], "it was killed by SIGKILL, as the system does when memory runs out"),
        ([calls.segfault], "it was killed by SIGSEGV"),
        ([calls.leave, 3], "it ended with exit code 3"),
    ],
    ids=["killed", "segfault", "exit"],
)
def test_a_call_whose_process_dies_says_so_and_may_be_tried_again(world, batch, reason):
    with hosted_model(handlers.Calls(), "model") as model:
        (pid,) = model.pids
        with pytest.raises(ModelProcessDiedError, match=f"Process {pid}, .* {len(batch)} rows: {reason}") as raised:
            model.run_inference(batch)
        assert is_transient(raised.value)
        (other,) = model.run_inference([calls.pid])
        assert other != pid
        assert model.pids == [other]


def test_a_copy_that_is_killed_while_it_waits_is_started_again(world):
    handler = handlers.Hosted(world.folder)
    with hosted_model(handler, "model") as model:
        for _ in range(6):  # More than may die in a row.
            (pid,) = model.pids
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: model.pids != [pid])
            assert model.run_inference([1]) == [(2, model.pids[0])]
    assert len(handler.loads()) == 7


def test_calls_that_wait_for_their_turn_survive_the_death_of_the_copy(world, busy):
    with hosted_model(handlers.Calls(), "model") as model, ThreadPoolExecutor(3) as pool:
        (pid,) = model.pids
        killed = busy(model)
        waiting = [pool.submit(model.run_inference, [calls.pid]) for _ in range(3)]
        time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelProcessDiedError):
            killed.result(60)
        others = {future.result(60)[0] for future in waiting}
        assert others == set(model.pids) != {pid}


def test_the_other_copies_serve_on(world, busy):
    with hosted_model(handlers.Calls(), "model", 2) as model:
        one = busy(model)
        (other,) = model.run_inference([calls.pid])
        (taken,) = set(model.pids) - {other}
        os.kill(taken, signal.SIGKILL)
        assert model.run_inference([calls.pid])[0] != taken
        with pytest.raises(ModelProcessDiedError, match=str(taken)):
            one.result(60)


class KilledBy(ModelHandler):
    """Calls a hosted model, as an adapter to a runner would."""

    def __init__(self, bad):
        super().__init__(min_batch_size=64, max_batch_size=64)
        self.bad = bad

    def load_model(self):
        return hosted_model(handlers.Calls(), "model")

    def run_inference(self, batch, model, inference_args=None):
        return model.run_inference([calls.kill_if_with, self.bad, *batch])[1:]


def test_a_row_that_kills_its_process_is_set_aside_alone(world):
    failures = []
    found = list(infer(range(200), KilledBy(0), on_failure=failures.append))
    assert found == list(range(1, 200))
    assert [(failure.index, failure.error_type.rpartition(".")[2]) for failure in failures] == [
        (0, "ModelProcessDiedError")
    ]
    assert "SIGKILL" in failures[0].message


def test_a_model_that_dies_of_every_batch_is_given_up(world):
    with hosted_model(handlers.Calls(), "model") as model:
        for _ in range(3):
            with pytest.raises(ModelProcessDiedError):
                model.run_inference([calls.kill])
        with pytest.raises(ModelFaultError, match=r"the model 'model' of Calls died 4 times in a row; .* SIGKILL"):
            model.run_inference([calls.kill])
        world.wait_until_nothing_is_left()
        assert model.run_inference([calls.give, [1]]) == [1]  # Who insists gets another host.


def test_a_model_whose_load_kills_its_process_is_given_up(world):
    handler = handlers.DiesLoading(world.folder)
    with pytest.raises(ModelFaultError, match="of DiesLoading died 4 times in a row"):
        hosted_model(handler, "model")
    assert len(handler.loads()) == 4
    world.wait_until_nothing_is_left()


def test_calls_that_wait_are_told_why_a_model_was_given_up(world, busy):
    with hosted_model(handlers.Calls(), "model") as model, ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(model.run_inference, [calls.kill]) for _ in range(8)]
        errors = [type(future.exception(60)) for future in futures]
    assert errors.count(ModelProcessDiedError) == 3
    assert errors.count(ModelFaultError) == 5


def test_no_copy_outlives_its_host_and_the_next_call_starts_another(world, busy):
    handler = handlers.Hosted(world.folder)
    with hosted_model(handler, "model") as model:
        user = world.user(handler)
        user.answer()
        (host,) = world.hosts()
        os.kill(host, signal.SIGKILL)
        wait_until(lambda: not world.processes())
        user.ask(5)
        assert model.run_inference([3]) == [(6, model.pids[0])]
        assert user.answer() == ("done", [(10, model.pids[0])])
    assert len(handler.loads()) == 2


def test_a_call_whose_host_is_killed_may_be_tried_again(world, busy):
    with hosted_model(handlers.Calls(), "model") as model:
        call = busy(model)
        (host,) = world.hosts()
        os.kill(host, signal.SIGKILL)
        with pytest.raises(
            ModelProcessDiedError, match="held the model 'model', was lost before it answered"
        ) as raised:
            call.result(60)
        assert is_transient(raised.value)
        assert model.run_inference([calls.give, [1]]) == [1]


def test_a_copy_that_is_busy_outside_of_python_ends_with_its_host(world):
    with hosted_model(handlers.Calls(), "model") as model, ThreadPoolExecutor(1) as pool:
        call = pool.submit(model.run_inference, [calls.hold_gil, world.folder / "busy"])
        wait_until((world.folder / "busy").exists)
        (host,) = world.hosts()
        os.kill(host, signal.SIGKILL)
        assert isinstance(call.exception(60), ModelProcessDiedError)
        wait_until(lambda: not world.processes())
        assert model.run_inference([calls.give, [1]]) == [1]


def test_without_help_of_the_system_a_copy_notices_the_end_of_its_host(world):
    program = (
        "import fcntl, socket, sys, time\n"
        "if hasattr(fcntl, 'F_SETSIG'):\n"
        "    del fcntl.F_SETSIG\n"
        "from runinference.models.host.copy import end_with\n"
        "end_with(socket.socket(fileno=0))\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n"
    )
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=theirs, stdout=subprocess.PIPE, start_new_session=True
        ) as process,
    ):
        assert process.stdout.readline() == b"ready\n"
        theirs.close()
        assert process.poll() is None
        ours.close()
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("victim", ["copy", "host", "nobody"])
def test_what_a_model_started_ends_with_it(world, victim):
    with hosted_model(handlers.WithChild(world.folder), "model") as model:
        (child,) = model.run_inference([1])
        if victim != "nobody":
            os.kill(model.pids[0] if victim == "copy" else world.hosts()[0], signal.SIGKILL)
            wait_until(lambda: child not in world.processes())
            assert model.run_inference([1]) != [child]
    world.wait_until_nothing_is_left()


def test_a_call_that_takes_too_long_is_ended_with_its_process(world):
    with hosted_model(handlers.Calls(), "model") as model:
        (pid,) = model.pids
        with pytest.raises(InferenceTimeoutError, match=f"longer than timeout_s=0.2 s; its process {pid} was ended"):
            model.run_inference([calls.hold_gil, world.folder / "busy"], timeout_s=0.2)
        assert model.run_inference([calls.pid], timeout_s=60) != [pid]


def test_waiting_for_a_free_copy_is_not_part_of_the_time(world, busy):
    with hosted_model(handlers.Calls(), "model") as model, ThreadPoolExecutor(1) as pool:
        first = busy(model)
        second = pool.submit(model.run_inference, [calls.pid], timeout_s=0.2)
        time.sleep(0.5)
        assert not second.done()
        (world.folder / "go").touch()
        assert first.result(60) == second.result(60) == model.pids


def test_files_that_are_removed_do_not_stop_who_has_the_model(world):
    handler = handlers.Shared(world.folder)
    with hosted_model(handler, "model") as model:
        before = model.pids
        for name in world.files():
            (world.meeting_place / name).unlink()
        assert model.run_inference([3])[0][0] == 6
        assert model.pids != before
        wait_until(lambda: len(world.hosts()) == 1)
        assert len(world.files()) == 3
