"""Devices: named when a handler is made, looked for when its model is loaded."""

import pickle

import pytest
import torch

from runinference import ConfigurationError, ModelLoadError, PytorchModelHandlerTensor, infer

from .models import Linear

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.mark.parametrize("device", ["CPU", "cpu", "Cpu", "cpu:0", torch.device("cpu")])
def test_the_cpu_has_several_names(saved, device):
    path, _ = saved(Linear)
    model = PytorchModelHandlerTensor(path, Linear, device=device).load_model()
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


@NO_GPU
def test_auto_is_the_cpu_where_there_is_no_gpu(saved):
    path, module = saved(Linear)
    (result,) = infer([torch.ones(3)], PytorchModelHandlerTensor(path, Linear, device="auto"))
    with torch.no_grad():
        torch.testing.assert_close(result.inference, module(torch.ones(1, 3))[0])


@NO_GPU
def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(saved):
    path, _ = saved(Linear)
    message = r"A GPU was asked for, but PyTorch \S+ finds none\. Use device='auto' to run on the CPU"
    with pytest.raises(ModelLoadError, match=message):
        list(infer([torch.ones(3)], PytorchModelHandlerTensor(path, Linear, device="GPU"), on_failure=print))


@NO_GPU
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "CUDA:0", "mps", "xpu", "mtia", "privateuseone"])
def test_a_device_that_is_not_there_is_told(saved, device):
    path, _ = saved(Linear)
    kind = device.lower().partition(":")[0]
    with pytest.raises(ModelLoadError, match=rf"'{device.lower()}' was asked for, .* finds no {kind} device"):
        PytorchModelHandlerTensor(path, Linear, device=device).load_model()


@NO_GPU
def test_the_device_is_looked_for_before_the_model_is_read():
    with pytest.raises(ModelLoadError, match="A GPU was asked for"):
        PytorchModelHandlerTensor("missing.pth", Linear, device="GPU").load_model()


@pytest.mark.parametrize("device", ["TPU", "gpu:0", "cuda:x", "", 0, "cpu ", "meta", torch.device("meta")])
def test_an_unknown_device_is_refused_at_once(device):
    with pytest.raises(ConfigurationError, match=r"PytorchModelHandlerTensor: device must be 'CPU', 'GPU', 'auto'"):
        PytorchModelHandlerTensor("m.pth", Linear, device=device)


def test_a_handler_for_a_gpu_can_be_made_and_pickled_without_one():
    handler = pickle.loads(pickle.dumps(PytorchModelHandlerTensor("m.pth", Linear, device=torch.device("cuda:3"))))
    assert handler.get_model_id() == "m.pth"
