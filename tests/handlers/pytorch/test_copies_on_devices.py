"""Several copies of a model in one process: how many there are, and on which devices."""

import pickle
import threading

import pytest
import torch

from runinference import (
    ConfigurationError,
    HuggingFaceEmbeddingModelHandler,
    HuggingFaceModelHandlerKeyedTensor,
    HuggingFaceModelHandlerTensor,
    HuggingFacePipelineModelHandler,
    HuggingFaceTextModelHandler,
    ModelLoadError,
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
    infer,
)
from runinference.handlers.pytorch import devices as devices_module

from .models import Linear

TWO = ["cuda:0", "cuda:1"]
HANDLERS = {
    "tensor": lambda **options: PytorchModelHandlerTensor("m.pth", Linear, **options),
    "keyed tensor": lambda **options: PytorchModelHandlerKeyedTensor("m.pth", Linear, **options),
    "hugging face tensor": lambda **options: HuggingFaceModelHandlerTensor("m", "AutoModel", **options),
    "hugging face keyed tensor": lambda **options: HuggingFaceModelHandlerKeyedTensor("m", "AutoModel", **options),
    "text": lambda **options: HuggingFaceTextModelHandler("m", "AutoModel", **options),
    "embedding": lambda **options: HuggingFaceEmbeddingModelHandler("m", **options),
    "pipeline": lambda **options: HuggingFacePipelineModelHandler("text-classification", "m", **options),
}
ALL = pytest.mark.parametrize("make", HANDLERS.values(), ids=HANDLERS)


class Weightless(torch.nn.Module):
    """Is on no device by itself, so that it runs where the handler says."""

    def forward(self, x: torch.Tensor):
        return x


def place(batch, model, device, inference_args=None, model_id=None):
    """An `inference_fn` that tells the device."""
    return [str(device)] * len(batch)


@pytest.fixture
def placed(script):
    """A handler that predicts the name of its device; of the CPU there are as many as there are names."""
    path = script(Weightless())

    def make(inference_fn=place, **options):
        return PytorchModelHandlerTensor(torch_script_model_path=path, inference_fn=inference_fn, **options)

    return make


@pytest.fixture
def gpus(monkeypatch):
    """Lets PyTorch find so many devices of a kind, on which nothing can run."""

    def found(kind, count):
        monkeypatch.setattr(devices_module, "_count", lambda asked: count if asked == kind else 0)

    return found


@ALL
def test_there_is_one_copy_for_each_device_unless_more_are_asked_for(make):
    assert make(devices=TWO).model_copies() == 2
    assert make(devices=(torch.device("cuda:0"), "CPU", "mps")).model_copies() == 3
    assert make(devices=TWO, model_copies=5).model_copies() == 5
    assert make(devices=["cuda:0"]).model_copies() == 1
    assert make(devices=["cuda:0", "cuda:0"]).model_copies() == 2
    assert make(device="cuda:1").model_copies() == 1
    assert make(device="cuda:1", model_copies=3).model_copies() == 3
    assert make(devices=None, device="cuda:1").model_copies() == 1


@ALL
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": []}, r"devices must be 'all' or a list of at least one device.*got \[\]"),
        ({"devices": "cuda:0"}, "devices must be 'all' or a list of at least one device.*got 'cuda:0'"),
        ({"devices": 2}, "devices must be 'all' or a list.*got 2"),
        ({"devices": {"cuda:0", "cuda:1"}}, "devices must be 'all' or a list.*got {"),
        ({"devices": ["cuda:0", "TPU"]}, "each of devices must be 'CPU', 'GPU'.*got 'TPU'"),
        ({"devices": ["cuda:0", None]}, "each of devices must be.*got None"),
        (
            {"devices": TWO, "device": "cuda:0"},
            r"give either device or devices, got 'cuda:0' and \['cuda:0', 'cuda:1'\]",
        ),
        ({"devices": "all", "device": "CPU"}, "give either device or devices, got 'CPU' and 'all'"),
        ({"devices": TWO, "model_copies": 1}, r"model_copies=1 leaves some of 2 devices idle \(cuda:0, cuda:1\)"),
        ({"device_s": TWO}, "has no option 'device_s'. Did you mean 'devices'"),
    ],
)
def test_devices_that_cannot_work_are_refused_at_once(make, options, message):
    with pytest.raises(ConfigurationError, match=message):
        make(**options)


def test_too_few_copies_are_told_also_where_they_are_asked_for_later():
    handler = PytorchModelHandlerTensor("m.pth", Linear, devices=TWO).with_options(model_copies=1)
    with pytest.raises(ConfigurationError, match="model_copies=1 leaves some of 2 devices idle"):
        list(infer([torch.ones(3)], handler))


@pytest.mark.parametrize(("kind", "count", "names"), [("cuda", 3, "cuda:"), ("xpu", 2, "xpu:"), ("mps", 1, "mps")])
@ALL
def test_all_devices_are_those_that_are_there_when_the_engine_is_made(make, gpus, kind, count, names):
    handler = pickle.loads(pickle.dumps(make(devices="all")))
    gpus(kind, count)
    assert handler.model_copies() == count
    assert make(devices="ALL", model_copies=4).model_copies() == 4
    assert [handler.for_copy(number, count)._device for number in range(count)] == [
        names + (str(number) if names[-1] == ":" else "") for number in range(count)
    ]


@ALL
def test_all_devices_must_be_at_least_one_and_none_may_be_idle(make, gpus):
    gpus("cuda", 0)
    with pytest.raises(ConfigurationError, match=r"devices='all' asks for every GPU, but PyTorch \S+ finds none"):
        make(devices="all").model_copies()
    gpus("cuda", 3)
    with pytest.raises(ConfigurationError, match=r"model_copies=2 leaves .* 3 devices idle \(cuda:0, cuda:1, cuda:2\)"):
        make(devices="all", model_copies=2).model_copies()


def test_a_device_of_a_copy_that_is_not_there_is_told_when_its_model_is_loaded(gpus, saved):
    gpus("cuda", 1)
    handler = PytorchModelHandlerTensor(saved(Linear)[0], Linear, devices=TWO)
    with pytest.raises(ModelLoadError, match="'cuda:1' was asked for, but there is only cuda:0 to 0"):
        handler.for_copy(1, 2).load_model()


@pytest.mark.parametrize(("devices", "copies"), [(["cpu:0"], 1), (["cpu:0", "cpu:1"], 2), (["cpu:0", "cpu:1"], 5)])
def test_each_copy_runs_on_its_device_and_after_the_last_on_the_first_again(placed, devices, copies):
    handler = placed(devices=devices, model_copies=copies)
    found = []
    for number in range(copies):
        handler_of_copy = handler if copies == 1 else handler.for_copy(number, copies)
        (result,) = handler_of_copy.run_inference([torch.ones(3)], handler_of_copy.load_model())
        found.append(result.inference)
    assert found == (devices * copies)[:copies]


def test_an_engine_uses_every_device(placed):
    together = threading.Barrier(3)

    def wait(batch, model, device, inference_args=None, model_id=None):
        together.wait(30)  # Nobody comes back before all copies have a batch.
        return place(batch, model, device)

    handler = placed(wait, devices=["cpu:0", "cpu:1", "cpu:2"], min_batch_size=1, max_batch_size=1)
    found = [result.inference for result in infer([torch.ones(3)] * 9, handler)]
    assert sorted(found) == ["cpu:0"] * 3 + ["cpu:1"] * 3 + ["cpu:2"] * 3


def test_the_handler_itself_stays_on_the_first_device(placed):
    handler = placed(devices=["cpu:1", "cpu:0"])
    handler.for_copy(1, 2)
    (result,) = handler.run_inference([torch.ones(3)], handler.load_model())
    assert result.inference == "cpu:1"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_every_gpu_computes_and_is_the_current_one_meanwhile(saved):
    path, module = saved(Linear)
    current = []

    def note(outputs, inputs):
        current.append((str(inputs.device), torch.cuda.current_device()))
        return outputs

    handler = PytorchModelHandlerTensor(path, Linear, devices=TWO, output_fn=note, max_batch_size=4)
    rows = list(torch.rand(200, 3))
    found = torch.stack([result.inference for result in infer(rows, handler)])
    torch.testing.assert_close(found, module(torch.stack(rows)).detach())
    assert set(current) == {("cuda:0", 0), ("cuda:1", 1)}
