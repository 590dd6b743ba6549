"""Weights stay in their file until they are used, and nothing is kept that is not needed."""

import gc
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from runinference import Engine, PytorchModelHandlerTensor

from .models import Linear

SIZE = 50_000_000


class Big(nn.Module):
    """200 MB of weights, of which a prediction uses the first."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(SIZE))

    def forward(self, x):
        return x + self.weight[0]


class Counting(Linear):
    """Writes into a buffer at each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(4))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def mapped_bytes(path):
    """The bytes of memory that are mapped from a file."""
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file if line.rstrip().endswith(path)]
    return sum(int(span.partition("-")[2], 16) - int(span.partition("-")[0], 16) for span, *_ in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_weights_are_mapped_and_not_copied(tmp_path, kind):
    path = str(tmp_path / f"big.{kind}")
    tensors = {"weight": torch.full((SIZE,), 2.0)}
    torch.save(tensors, path) if kind == "pth" else safetensors.torch.save_file(tensors, path)
    del tensors
    gc.collect()
    handler = PytorchModelHandlerTensor(path, Big)
    before = resident_bytes()
    model = handler.load_model()
    grown = resident_bytes() - before
    assert mapped_bytes(path) >= SIZE * 4
    assert grown < SIZE
    assert handler.get_model_bytes(model) == SIZE * 4
    assert next(iter(handler.run_inference([torch.ones(1)], model))).inference.item() == 3
    del model
    gc.collect()
    assert mapped_bytes(path) == 0


def test_a_model_that_writes_into_its_buffers_does_not_change_its_file(tmp_path):
    paths = [tmp_path / "model.pth", tmp_path / "model.safetensors"]
    torch.save(Counting().state_dict(), paths[0])
    safetensors.torch.save_file(Counting().state_dict(), paths[1])
    before = [path.read_bytes() for path in paths]
    # In a process of its own, which memory that must not be written to would end.
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv.pop())\n"
        "from pytorch.test_memory import Counting\n"
        "from runinference import PytorchModelHandlerTensor\n"
        "for path in sys.argv[1:]:\n"
        "    handler = PytorchModelHandlerTensor(path, Counting)\n"
        "    model = handler.load_model()\n"
        "    for _ in range(3): list(handler.run_inference([torch.ones(3)], model))\n"
        "    assert model.calls.tolist() == [3.0] * 4, model.calls\n"
    )
    command = [sys.executable, "-c", code, *map(str, paths), str(Path(__file__).parent.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in paths] == before


def test_the_model_is_freed_when_the_engine_closes(saved):
    path, _ = saved(Linear)
    models = []

    class Watched(PytorchModelHandlerTensor):
        def load_model(self):
            model = super().load_model()
            models.append(weakref.ref(model))
            return model

    with Engine(Watched(path, Linear)) as engine:
        assert len(list(engine.map([torch.ones(3)] * 5))) == 5
        assert models[0]() is not None
    gc.collect()
    assert models[0]() is None


def test_a_result_does_not_keep_its_model_or_batch(saved):
    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear)
    model = handler.load_model()
    rows = [torch.ones(3) for _ in range(8)]
    result = next(iter(handler.run_inference(rows, model)))
    ref = weakref.ref(model)
    del model
    gc.collect()
    assert ref() is None
    assert result.inference.untyped_storage().nbytes() == 2 * 4


def test_threads_that_start_at_once_load_the_model_once(saved):
    path, module = saved(Linear)
    loads = []

    class Counted(PytorchModelHandlerTensor):
        def load_model(self):
            loads.append(threading.get_ident())
            return super().load_model()

    rows = {number: torch.full((3,), float(number)) for number in range(40)}
    found = {}
    with Engine(Counted(path, Linear)) as engine:
        start = threading.Barrier(4)

        def work(part):
            start.wait()
            for number in range(part, 40, 4):
                found[number] = engine.submit(rows[number]).result(timeout=30).inference

        threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert len(loads) == 1
    assert sorted(found) == list(range(40))
    with torch.no_grad():
        for number, row in rows.items():
            torch.testing.assert_close(found[number], module(row[None])[0])


def test_a_handler_is_small_however_large_its_model(saved):
    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear)
    size = len(pickle.dumps(handler))
    list(handler.run_inference([torch.ones(3)], handler.load_model()))
    assert len(pickle.dumps(handler)) == size < 2000
