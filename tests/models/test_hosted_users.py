"""Users of a hosted model that come and go, or are killed."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress

import hosted_calls as calls
import hosted_handlers as handlers
import pytest
from hosted_handlers import wait_until
from hosted_world import ON_LINUX, a_world

from runinference.models.host.copy import ModelCopy
from runinference.models.host.ledger import Ledger
from runinference.models.host.place import connect, listen
from runinference.models.host.wire import PROCESS_ID, pack, receive, receive_bytes, send, unpack
from runinference.models.hosted import hosted_model

pytestmark = ON_LINUX


@pytest.fixture
def world(monkeypatch):
    with a_world(monkeypatch) as world:
        yield world


def test_when_the_last_user_is_gone_nothing_is_left(world):
    handler = handlers.Hosted(world.folder)
    with hosted_model(handler, "model", 1):
        users = [world.user(handler) for _ in range(2)]
        for user in users:
            user.answer()
        assert len(world.processes()) == 2
        assert [name.split(".")[1] for name in world.files()] == ["lock", "users", "work"]
    users[0].close()
    users[1].ask(3)
    assert users[1].answer()[0] == "done"
    users[1].close()
    world.wait_until_nothing_is_left()
    assert len(handler.loads()) == 1


def test_users_that_are_killed_are_no_users_any_more(world):
    handler = handlers.Hosted(world.folder)
    users = [world.user(handler) for _ in range(3)]
    for user in users:
        user.answer()
    users[0].kill()
    users[1].kill()
    users[2].ask(3)
    assert users[2].answer()[0] == "done"
    users[2].kill()
    world.wait_until_nothing_is_left()
    assert len(handler.loads()) == 1


def test_a_user_that_is_killed_in_a_call_leaves_the_model_to_the_others(world):
    with hosted_model(handlers.Calls(), "model") as model:
        user = world.user(handlers.Calls())
        user.answer()
        user.ask(calls.wait_for, world.folder / "busy", world.folder / "go")
        wait_until((world.folder / "busy").exists)
        pids = model.pids
        user.kill()
        (world.folder / "go").touch()
        assert model.run_inference([calls.pid]) == pids


def test_users_that_are_killed_while_the_model_loads_end_the_load(world):
    handler = handlers.LoadsOnlyWith(world.folder)
    user = world.user(handler)
    wait_until(handler.loads)
    user.kill()
    world.wait_until_nothing_is_left()


def test_a_user_that_stops_in_the_midst_of_a_call_does_not_stop_the_others(world):
    path = str(world.folder / "work")
    with tempfile.TemporaryFile() as notes, listen(path) as listener:
        copy = ModelCopy(handlers.Calls(), Ledger(notes.fileno()), stalled_s=0.1)
        threading.Thread(target=serve, args=(copy, listener), daemon=True).start()
        with connect(path) as silent, connect(path) as deaf, connect(path) as other:
            send(deaf, pack(([calls.give, [b"x" * 10_000_000]], None)))
            send(other, pack(([calls.give, [1]], None)))
            other.settimeout(60)
            receive_bytes(other, PROCESS_ID.size)
            assert unpack(receive(other)) == ("done", [1], False)
            assert silent.recv(100) == PROCESS_ID.pack(os.getpid())
            assert silent.recv(100) == b""
        listener.shutdown(socket.SHUT_RDWR)


def serve(copy, listener):
    with suppress(OSError):  # At the end of the test.
        copy.serve(listener)


def test_the_first_user_may_be_killed(world):
    handler = handlers.Hosted(world.folder)
    first = world.user(handler)
    assert first.answer()[0] == "pids"
    with hosted_model(handler, "model") as model:
        first.kill()
        assert model.run_inference([3]) == [(6, handler.loads()[0])]


def test_a_model_may_print_after_whoever_reads_it_is_gone(world):
    program = (
        "import sys\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from hosted_handlers import Chatting\n"
        "from runinference.models.hosted import hosted_model\n"
        "with hosted_model(Chatting(), 'model') as model:\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with first:
        assert first.stdout.readline() == b"ready\n"
        with hosted_model(handlers.Chatting(), "model") as model:
            first.kill()
            first.stderr.close()
            for number in range(3):
                assert model.run_inference([number]) == [number]
            assert model.load_s >= 0
            assert len(world.hosts()) == 1


def test_users_that_come_while_a_host_ends_get_another(world):
    handler = handlers.Hosted(world.folder)  # Whose model may not be there twice.
    for number in range(8):
        with hosted_model(handler, "model") as model:
            assert model.run_inference([number])[0][0] == 2 * number
        for pid in world.hosts():
            os.kill(pid, signal.SIGTERM)
        time.sleep(number * 0.01)
    assert len(handler.loads()) == 8


def test_users_that_come_and_go_around_the_end_of_a_host_never_see_an_error(world):
    handler = handlers.Hosted(world.folder)
    for pause in (0.98, 1.0, 1.03):
        with hosted_model(handler, "model") as model:
            assert model.run_inference([1])[0][0] == 2
        time.sleep(pause)
