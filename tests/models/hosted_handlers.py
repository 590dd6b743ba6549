"""Handlers for tests of models that other processes hold, and a process that uses one."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from runinference.handler import ModelHandler
from runinference.models.hosted import hosted_model
from runinference.prediction import PredictionResult

AT_IMPORT = os.environ.get("HOSTED_AT_IMPORT")


class Lone:
    """A model of which there must not be two at the same time."""

    def __init__(self, folder):
        self._lock = open(folder / "lone", "a")  # noqa: SIM115
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.weights = np.full(1000, 2.0)


class Hosted(ModelHandler):
    """Doubles numbers, and tells which process did it; each load writes a line."""

    def __init__(self, folder, **options):
        super().__init__(**options)
        self.folder = Path(folder)

    def load_model(self):
        self.note_load()
        return Lone(self.folder)

    def run_inference(self, batch, model, inference_args=None):
        return [(row * model.weights[0], os.getpid()) for row in batch]

    def note_load(self):
        with open(self.folder / "loads", "a") as file:
            file.write(f"{os.getpid()}\n")

    def loads(self):
        """The processes that loaded the model."""
        path = self.folder / "loads"
        return [int(line) for line in path.read_text().split()] if path.exists() else []


class Shared(Hosted):
    """Of this one there may be several."""

    def load_model(self):
        self.note_load()
        return 2

    def run_inference(self, batch, model, inference_args=None):
        return [(row * model, os.getpid()) for row in batch]


class Named(Shared):
    """A model with a name of its own."""

    def __init__(self, folder, name):
        super().__init__(folder)
        self.name = name

    def get_model_id(self):
        return self.name

    def run_inference(self, batch, model, inference_args=None):
        return [self.name for _ in batch]


class Meeting(Shared):
    """Answers only while two processes are answering."""

    def run_inference(self, batch, model, inference_args=None):
        (self.folder / f"met-{os.getpid()}").touch()
        wait_until(lambda: len(list(self.folder.glob("met-*"))) == 2)
        return [os.getpid() for _ in batch]


class Numbered(Shared):
    """Knows which copy it is."""

    def __init__(self, folder, copy=None):
        super().__init__(folder)
        self.copy = copy

    def for_copy(self, copy, copies):
        return Numbered(self.folder, (copy, copies))

    def load_model(self):
        return self.copy

    def run_inference(self, batch, model, inference_args=None):
        time.sleep(0.01)
        return [model for _ in batch]


class Alone(Shared):
    """Writes down when a call begins and ends."""

    def run_inference(self, batch, model, inference_args=None):
        with open(self.folder / "calls", "a", buffering=1) as file:
            file.write("begin\n")
            time.sleep(0.005)
            file.write("end\n")
        return [None for _ in batch]


class AnyModel(ModelHandler):
    """Its model is what it was made with."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def load_model(self):
        return self.model

    def run_inference(self, batch, model, inference_args=None):
        return [model for _ in batch]


class Calls(ModelHandler):
    """Does with a batch what it is told to, by a function that is pickled by its name."""

    def load_model(self):
        return self

    def run_inference(self, batch, model, inference_args=None):
        call, *rest = batch
        return call(*rest, **(inference_args or {}))


class Results(ModelHandler):
    """Gives results with examples."""

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        return (PredictionResult(row, row.sum(), "summed") for row in batch)


class KeywordOnly(ModelHandler):
    """Takes its arguments by name alone."""

    def load_model(self):
        return None

    def run_inference(self, batch, model, *, inference_args):
        return [inference_args for _ in batch]


class WithoutArguments(ModelHandler):
    """Takes none."""

    def load_model(self):
        return None

    def run_inference(self, batch, model):
        return list(batch)


class Unsendable(ModelHandler):
    """Holds what cannot be pickled."""

    def __init__(self):
        super().__init__()
        self.guard = threading.Lock()

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        return batch


class LoadsOnlyWith(Shared):
    """Needs a file to load, and waits for another before it says so."""

    def load_model(self):
        self.note_load()
        wait_until((self.folder / "go").exists)
        if not (self.folder / "weights").exists():
            raise FileNotFoundError("there are no weights")
        return 2


class DiesLoading(Shared):
    """Cannot be loaded by a process that wants to live."""

    def load_model(self):
        self.note_load()
        os.kill(os.getpid(), signal.SIGKILL)


class WithChild(Shared):
    """Starts a process of its own."""

    def load_model(self):
        self.note_load()
        return subprocess.Popen(["sleep", "1000"]).pid

    def run_inference(self, batch, model, inference_args=None):
        return [model for _ in batch]


class Talking(ModelHandler):
    """Writes to both outputs."""

    def load_model(self):
        print("the model says hello", flush=True)
        print("and complains", file=sys.stderr)

    def run_inference(self, batch, model, inference_args=None):
        return batch


class Chatting(ModelHandler):
    """Prints at each call."""

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        print("x" * 100_000)
        print("done", file=sys.stderr, flush=True)
        return list(batch)


class NoCopies(Shared):
    """Cannot be copied."""

    def for_copy(self, copy, copies):
        raise ConnectionError("no more devices")


class Environment(ModelHandler):
    """Predicts environment variables."""

    def load_model(self):
        return AT_IMPORT

    def run_inference(self, batch, model, inference_args=None):
        return [model if name == "HOSTED_AT_IMPORT" else os.environ.get(name) for name in batch]


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def use(connection, handler, identifier, copies=1):
    """Runs in a process of its own: says that it has the model, then answers batches until it is told to end."""
    try:
        with hosted_model(handler, identifier, copies) as model:
            connection.send(("pids", model.pids))
            while (batch := connection.recv()) is not None:
                connection.send(("done", model.run_inference(batch)))
    except Exception as error:
        connection.send((type(error).__name__, str(error)))
