"""State dicts: every weight and buffer of the file is that of the model, however the module holds it."""

import pytest
import safetensors.torch
import torch
from torch import nn

from runinference import ModelLoadError, PytorchModelHandlerTensor

from .models import Conv, Linear, random_weights
from .odd_models import (
    Computed,
    ExtraState,
    HeldInList,
    OwnGenerator,
    ParametersInContainers,
    Recurrent,
    SeededBuffer,
    Shared,
    Tied,
    Versioned,
    ViewOfWeight,
    lazy,
    normed,
    orthogonal,
    spectral,
    traced,
)

ROW = torch.tensor([1.0, 2.0, -3.0])


def same_as(module, row=ROW):
    with torch.no_grad():
        return module(row[None])[0]


def broken(thing, reason):
    return pytest.param(thing)


CLASSES = [
    Tied,
    Shared,
    Computed,
    OwnGenerator,
    broken(SeededBuffer, "skipping random weights changes the random numbers that come after them"),
    broken(HeldInList, "a parameter is replaced by another object, so that other references keep the old one"),
    broken(ViewOfWeight, "a parameter is replaced by another object, so that views keep the old memory"),
    ParametersInContainers,
    broken(Versioned, "the versions of the modules in the file are dropped"),
    Recurrent,
    broken(traced, "a traced module stays in training mode"),
    orthogonal,
    normed,
    spectral,
]


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
@pytest.mark.parametrize("model_class", CLASSES)
def test_the_model_predicts_as_the_one_that_was_saved(tmp_path, predict, model_class, kind):
    if (model_class, kind) == (Shared, "safetensors"):
        pytest.skip("tested by itself")
    if model_class in (Versioned,) and kind == "safetensors":
        pytest.skip("safetensors holds no versions")
    module = model_class()
    module = module if model_class in (SeededBuffer, orthogonal, spectral, ViewOfWeight) else random_weights(module)
    path = str(tmp_path / f"model.{kind}")
    if kind == "pth":
        torch.save(module.state_dict(), path)
    else:
        safetensors.torch.save_model(module, path)  # Leaves out names of what it has saved already.
    module.eval()
    (found,) = predict(PytorchModelHandlerTensor(path, model_class), [ROW])
    torch.testing.assert_close(found, same_as(module))


def test_extra_state_is_given_to_the_module(tmp_path, predict):
    module = ExtraState()
    module.set_extra_state(module.get_extra_state())
    torch.save(module.state_dict(), tmp_path / "model.pth")
    (found,) = predict(PytorchModelHandlerTensor(str(tmp_path / "model.pth"), ExtraState), [ROW])
    torch.testing.assert_close(found, same_as(module))


def test_a_shared_layer_may_be_in_the_file_by_one_name(tmp_path, predict):
    module = random_weights(Shared())
    safetensors.torch.save_model(module, str(tmp_path / "model.safetensors"))
    (found,) = predict(PytorchModelHandlerTensor(str(tmp_path / "model.safetensors"), Shared), [ROW])
    torch.testing.assert_close(found, same_as(module))


@pytest.mark.parametrize("kept", ["first.weight", "second.weight"])
def test_a_tied_weight_may_be_in_the_file_by_either_name(tmp_path, predict, kept):
    module = random_weights(Tied())
    tensors = {kept: module.first.weight, "second.bias": module.second.bias}
    torch.save(tensors, tmp_path / "model.pth")
    handler = PytorchModelHandlerTensor(str(tmp_path / "model.pth"), Tied)
    torch.testing.assert_close(predict(handler, [ROW])[0], same_as(module))
    loaded = handler.load_model()
    assert loaded.first.weight is loaded.second.weight
    assert handler.get_model_bytes(loaded) == (9 + 3) * 4


def test_a_tied_weight_that_is_two_in_the_file_is_told(tmp_path):
    tensors = {"first.weight": torch.rand(3, 3), "second.weight": torch.rand(3, 3), "second.bias": torch.rand(3)}
    torch.save(tensors, tmp_path / "model.pth")
    message = "'first.weight' and 'second.weight' are one parameter of the model, but two in the file"
    with pytest.raises(ModelLoadError, match=message):
        PytorchModelHandlerTensor(str(tmp_path / "model.pth"), Tied).load_model()


def test_a_tied_weight_with_nan_is_one_weight(tmp_path):
    weight = torch.full((3, 3), float("nan"))
    tensors = {"first.weight": weight, "second.weight": weight.clone(), "second.bias": torch.rand(3)}
    torch.save(tensors, tmp_path / "model.pth")
    PytorchModelHandlerTensor(str(tmp_path / "model.pth"), Tied).load_model()


def test_lazy_layers_take_their_shapes_from_the_file(tmp_path, predict):
    module = lazy()
    expected = same_as(module)
    torch.save(module.state_dict(), tmp_path / "model.pth")
    (found,) = predict(PytorchModelHandlerTensor(str(tmp_path / "model.pth"), lazy), [ROW])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type_become_that_of_the_model(tmp_path, predict, dtype):
    module = random_weights(Conv())
    torch.save(module.to(dtype).state_dict(), tmp_path / "model.pth")
    handler = PytorchModelHandlerTensor(str(tmp_path / "model.pth"), Conv)
    image = torch.rand(3, 8, 8)
    (found,) = predict(handler, [image])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, same_as(module.float(), image))
    assert {p.dtype for p in handler.load_model().parameters()} == {torch.float32}


def test_a_model_may_have_weights_of_several_types(tmp_path, predict):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(3))
            self.short = nn.Parameter(torch.rand(3).half())
            self.counts = nn.Parameter(torch.arange(3), requires_grad=False)
            self.register_buffer("flags", torch.tensor([True, False, True]))

        def forward(self, x):
            return x * self.weight + self.short + self.counts + self.flags

    module = Mixed()
    torch.save(module.state_dict(), tmp_path / "model.pth")
    handler = PytorchModelHandlerTensor(str(tmp_path / "model.pth"), Mixed)
    torch.testing.assert_close(predict(handler, [ROW])[0], same_as(module))
    assert [t.dtype for t in handler.load_model().state_dict().values()] == [
        t.dtype for t in module.state_dict().values()
    ]


def test_the_old_format_of_files_is_read(tmp_path, predict):
    module = random_weights(Linear())
    torch.save(module.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (found,) = predict(PytorchModelHandlerTensor(str(tmp_path / "old.pth"), Linear), [ROW])
    torch.testing.assert_close(found, same_as(module))


def test_a_module_runs_in_evaluation_mode_and_without_gradients(saved):
    path, _ = saved(Conv)
    loaded = PytorchModelHandlerTensor(path, Conv).load_model()
    assert not any(part.training for part in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_parameters_of_the_constructor_are_given(saved, predict):
    path, module = saved(Linear, inputs=5, outputs=1)
    row = torch.arange(5.0)
    handler = PytorchModelHandlerTensor(path, Linear, {"inputs": 5, "outputs": 1})
    torch.testing.assert_close(predict(handler, [row])[0], same_as(module, row))


def test_loading_leaves_the_random_numbers_of_the_program_alone(saved):
    path, _ = saved(Linear)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    PytorchModelHandlerTensor(path, Linear).load_model()
    torch.testing.assert_close(torch.rand(3), expected)


def test_arguments_for_torch_load_are_used(saved):
    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, load_model_args={"no_such_argument": 1})
    with pytest.raises(ModelLoadError, match="no_such_argument"):
        handler.load_model()
    assert PytorchModelHandlerTensor(path, Linear, load_model_args={"mmap": False}).load_model() is not None
