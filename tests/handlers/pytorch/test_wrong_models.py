"""Weights that do not fit the module, and modules that cannot be made."""

import pytest
import torch
from torch import nn

from runinference import ModelFaultError, ModelLoadError, PytorchModelHandlerTensor, infer

from .models import Linear


def write(tmp_path, tensors):
    torch.save(tensors, tmp_path / "model.pth")
    return str(tmp_path / "model.pth")


def test_missing_and_unexpected_names_are_listed(tmp_path):
    path = write(tmp_path, {"linear.weight": torch.rand(2, 3), "linear.bais": torch.rand(2)})
    message = (
        r"model.pth does not fit Linear: 1 name of the model not in the file \(linear.bias\), and 1 name of the "
        r"file not in the model \(linear.bais\)\. Did you mean 'linear.bias'"
    )
    with pytest.raises(ModelLoadError, match=message):
        PytorchModelHandlerTensor(path, Linear).load_model()


def test_the_misspelt_one_of_several_names_is_found(tmp_path):
    path = write(tmp_path, {"linear.weight": torch.rand(2, 3), "linear.bais": torch.rand(2), "more": torch.rand(1)})
    with pytest.raises(ModelLoadError, match=r"Did you mean 'linear.bias'"):
        PytorchModelHandlerTensor(path, Linear).load_model()


def test_names_of_a_wrapper_for_several_gpus_are_told(tmp_path):
    path = write(tmp_path, {f"module.{name}": tensor for name, tensor in Linear().state_dict().items()})
    with pytest.raises(ModelLoadError, match=r"\(module.linear.weight, module.linear.bias\)"):
        PytorchModelHandlerTensor(path, Linear).load_model()


def test_many_names_are_cut_short(tmp_path):
    path = write(tmp_path, {f"layer{number}": torch.rand(1) for number in range(100)})
    with pytest.raises(ModelLoadError, match=r"100 names of the file not in the model \(layer0, .*, …\)") as caught:
        PytorchModelHandlerTensor(path, Linear).load_model()
    assert len(str(caught.value)) < len(path) + 400


def test_shapes_that_differ_are_told(tmp_path):
    path = write(tmp_path, {"linear.weight": torch.rand(5, 3), "linear.bias": torch.rand(5)})
    with pytest.raises(ModelLoadError, match=r"size mismatch for linear.weight.*\[5, 3\].*\[2, 3\].*model_params"):
        PytorchModelHandlerTensor(path, Linear).load_model()


def test_a_constructor_that_raises_is_told(saved):
    path, _ = saved(Linear)
    message = r"Linear\(\*\*model_params\) failed: TypeError: .*unexpected keyword argument 'outputz'"
    with pytest.raises(ModelLoadError, match=message):
        PytorchModelHandlerTensor(path, Linear, {"outputz": 3}).load_model()


def test_a_function_that_makes_no_module_is_told(saved):
    path, _ = saved(Linear)
    with pytest.raises(ModelLoadError, match=r"model_class must make a torch.nn.Module, but made dict"):
        PytorchModelHandlerTensor(path, dict).load_model()


def test_an_engine_raises_the_same_error(saved):
    path, _ = saved(Linear)
    failures = []
    with pytest.raises(ModelLoadError, match=r"must make a torch.nn.Module"):
        list(infer([torch.zeros(3)], PytorchModelHandlerTensor(path, dict), on_failure=failures.append))
    assert failures == []


def test_a_method_that_the_model_lacks_is_told(saved):
    from runinference import make_tensor_model_fn

    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, inference_fn=make_tensor_model_fn("generate"))
    with pytest.raises(ModelFaultError, match="Linear has no method 'generate'"):
        list(infer([torch.zeros(3)], handler, on_failure=print))


def test_a_model_without_parameters_runs(tmp_path):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.tensor([1.0]))

        def forward(self, x):
            return x.sum(1) + self.shift

    handler = PytorchModelHandlerTensor(write(tmp_path, Sum().state_dict()), Sum)
    (result,) = infer([torch.ones(3)], handler)
    assert result.inference.item() == 4
    assert handler.get_model_bytes(handler.load_model()) == 4


def test_a_handler_may_make_its_model_itself():
    class Own(PytorchModelHandlerTensor):
        def load_model(self):
            return nn.Sequential(nn.Flatten(), nn.Softmax(1))

    handler = Own("unused.pth", nn.Identity)
    rows = list(torch.rand(5, 2, 2))
    for row, result in zip(rows, infer(rows, handler), strict=True):
        torch.testing.assert_close(result.inference, row.flatten().softmax(0))
    assert handler.get_model_bytes(handler.load_model()) == 0
