"""The runners of Beam that run on one machine, and what their processes leave behind."""

import os
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest

from runinference.beam.worker import end_idle_workers

_PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
_THREADS = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
# The tracker is one that multiprocessing starts for the process of the tests.
_OF_THE_TESTS = ("multiprocessing.resource_tracker", "local_job_service_main")


class Machine:
    """What a test sees of the processes that its pipelines start.

    They are told from all others by an environment variable, which they inherit.
    """

    def __init__(self, folder):
        self.folder = folder

    def processes(self):
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.environ().get("XDG_RUNTIME_DIR") == str(self.folder)
                command = " ".join(process.cmdline())
                if ours and not any(module in command for module in _OF_THE_TESTS):
                    found.append(process)
        return found

    def assert_nothing_is_left(self):
        end_idle_workers()
        _, alive = psutil.wait_procs(self.processes(), timeout=60)
        assert alive == []


@pytest.fixture(scope="module")
def machine():
    """Where pipelines with worker processes run; none of the processes may outlive a test module."""
    # Not the folder that pytest makes: paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="ri-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, [Path(__file__).parent, *filter(None, sys.path)])))
        machine = Machine(folder)
        yield machine
        left = machine.processes()
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=60)
    shutil.rmtree(folder, ignore_errors=True)
    assert left == []


@pytest.fixture(scope="module")
def job_server(machine, tmp_path_factory):
    """The port of a server that runs pipelines."""
    folder = tmp_path_factory.mktemp("job_server")
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, "--port", str(port), "--staging_dir", folder / "staging"]
    with open(folder / "log", "w") as log:
        server = psutil.Popen(command, stdout=log, stderr=log)
    try:
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
        yield port
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="module")
def on_job_server(job_server):
    """Options of a pipeline that runs on the server, in a worker process of its own."""
    return [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{job_server}",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main",
    ]


@pytest.fixture
def runner(request, machine):
    """Options of a pipeline for one of the runners, by its name."""
    name = getattr(request, "param", "in memory")
    if name == "job server":
        return request.getfixturevalue("on_job_server")
    return {"in memory": [], "threads": _THREADS, "processes": _PROCESSES}[name]
