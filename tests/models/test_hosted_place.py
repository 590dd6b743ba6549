"""Where processes meet to share a model: nobody else gets in."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import hosted_handlers as handlers
import pytest
from hosted_world import ON_LINUX, a_world

from runinference import ConfigurationError
from runinference.models.host.place import Place, connect, listen
from runinference.models.hosted import hosted_model

pytestmark = ON_LINUX

as_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs to become another user")
NOBODY = 65534


@pytest.fixture
def world(monkeypatch):
    with a_world(monkeypatch) as world:
        yield world


def test_folder_and_files_are_for_their_user_alone(world):
    before = os.umask(0)
    try:
        with hosted_model(handlers.Shared(world.folder), "model"):
            assert stat.S_IMODE(world.meeting_place.stat().st_mode) == 0o700
            modes = {name.split(".")[1]: (world.meeting_place / name).stat().st_mode for name in world.files()}
    finally:
        os.umask(before)
    assert {ending: stat.S_IMODE(mode) for ending, mode in modes.items()} == dict.fromkeys(
        ("lock", "users", "work"), 0o600
    )
    assert stat.S_ISSOCK(modes["users"])
    assert stat.S_ISSOCK(modes["work"])


def test_no_port_is_opened(world):
    with hosted_model(handlers.Shared(world.folder), "model"):
        inodes = {
            os.readlink(link)
            for pid in world.processes()
            for link in Path(f"/proc/{pid}/fd").iterdir()
            if os.path.islink(link)
        }
        for table in ("tcp", "tcp6", "udp", "udp6"):
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            assert inodes.isdisjoint(f"socket:[{row.split()[9]}]" for row in rows)


@pytest.mark.parametrize("identifier", ["../../escape", "/etc/passwd", "gs://bucket/model", "ä" * 500, "a\0b"])
def test_identifiers_are_never_paths(world, identifier):
    with hosted_model(handlers.Shared(world.folder), identifier) as model:
        assert model.run_inference([1])[0][0] == 2
        assert len({name.split(".")[0] for name in world.files()}) == 1
        assert all(len(name) < 30 for name in world.files())


def test_a_link_in_place_of_the_folder_is_refused(world):
    (world.folder / "elsewhere").mkdir(mode=0o700)
    world.meeting_place.symlink_to(world.folder / "elsewhere")
    refused(world, "is a link")


def test_a_folder_that_others_can_read_is_refused(world):
    world.meeting_place.mkdir()
    world.meeting_place.chmod(0o750)
    refused(world, r"is open to others \(mode 750, expected 700\)")


def test_a_file_in_place_of_the_folder_is_refused(world):
    world.meeting_place.touch()
    with pytest.raises(ConfigurationError, match="is not a folder"):
        hosted_model(handlers.Shared(world.folder), "model")
    world.meeting_place.unlink()


@as_root
def test_a_folder_of_somebody_else_is_refused(world):
    world.meeting_place.mkdir(mode=0o700)
    os.chown(world.meeting_place, NOBODY, -1)
    refused(world, f"belongs to user {NOBODY}, not to user 0")


def refused(world, message):
    with pytest.raises(ConfigurationError, match=f"{world.meeting_place}.* {message}.* XDG_RUNTIME_DIR"):
        hosted_model(handlers.Shared(world.folder), "model")
    assert world.processes() == []
    assert world.files() == []


def test_without_a_runtime_folder_there_is_one_for_the_user_among_temporary_files(world, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(world.folder / "absent"))
    monkeypatch.setattr("tempfile.tempdir", str(world.folder))
    place = Place.of("model")
    assert place.folder == str(world.folder / f"runinference-{os.geteuid()}")
    assert stat.S_IMODE(os.stat(place.folder).st_mode) == 0o700


def test_a_path_that_is_too_long_for_a_socket_says_so(world, monkeypatch):
    long = world.folder / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with pytest.raises(ConfigurationError, match=r"a path of 1[0-9][0-9] bytes.* set XDG_RUNTIME_DIR .* shorter"):
        hosted_model(handlers.Shared(world.folder), "model")


@as_root
@pytest.mark.parametrize("ending", ["users", "work"])
def test_a_process_of_another_user_is_told_nothing(world, ending):
    program = (
        "import os, socket, sys\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "connection.connect(sys.argv[1])\n"
        "try:\n"
        "    print(connection.recv(100))\n"
        "except ConnectionError:\n"
        "    print(b'')\n"
    )
    with hosted_model(handlers.Shared(world.folder), "model") as model:
        (name,) = [name for name in world.files() if name.endswith(ending)]
        path = world.meeting_place / name
        world.folder.chmod(0o777)
        world.meeting_place.chmod(0o777)  # As if the folder did not protect the sockets.
        path.chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "b''\n"
        world.meeting_place.chmod(0o700)
        assert model.run_inference([1])[0][0] == 2


@as_root
def test_nothing_is_sent_to_a_process_of_another_user(world):
    path = str(world.folder / "socket")
    listener = listen(path)
    os.chmod(path, 0o777)
    world.folder.chmod(0o777)
    listens, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(NOBODY)
        listener.listen(1)  # By which the system takes note of who listens.
        os.write(theirs, b"x")
        connection, _ = listener.accept()
        os._exit(len(connection.recv(1)))
    with listener:
        assert os.read(listens, 1) == b"x"
        with pytest.raises(PermissionError, match=f"belongs to user {NOBODY}, not to user 0"):
            connect(path)
        assert os.waitpid(child, 0) == (child, 0)
