"""Handlers that worker processes import."""

import os
import signal
import uuid
from pathlib import Path

from runinference.handler import ModelHandler
from runinference.testing.fakes import FailingHandler


class NotingHandler(FailingHandler):
    """Leaves a file for each load, named after the process in which it was."""

    def __init__(self, folder, bad=(), **options):
        super().__init__(bad, **options)
        self.folder = Path(folder)

    def load_model(self):
        note_process(self.folder)
        return super().load_model()


class KillingHandler(NotingHandler):
    """Its process dies of certain rows, at once."""

    def before(self, batch):
        for row in batch:
            if self._is_bad(row):
                kill_this_process(self.folder)


class ExitingHandler(NotingHandler):
    """Its process exits at certain rows, without a word."""

    def before(self, batch):
        for row in batch:
            if self._is_bad(row):
                os._exit(7)


class HeavyHandler(ModelHandler):
    """Its model is as large as a file."""

    def __init__(self, weights):
        super().__init__()
        self._weights_path = weights

    def load_model(self):
        return Path(self._weights_path).read_bytes()

    def run_inference(self, batch, model, inference_args=None):
        return [len(model)] * len(batch)


def note_process(folder, element=None):
    """Leaves a file named after this process; gives `element` back."""
    (Path(folder) / f"{os.getpid()}-{uuid.uuid4().hex}").touch()
    return element


def processes_noted(folder):
    return sorted(int(path.name.split("-")[0]) for path in Path(folder).iterdir() if "-" in path.name)


def kill_this_process(folder):
    """As the system does when memory runs out; says so in a file, which may be a pipe."""
    (Path(folder) / "killed").write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(element, bad, folder):
    if element == bad:
        kill_this_process(folder)
    return element
