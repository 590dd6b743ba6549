"""Arguments and options: what cannot work is refused when the handler is made, with the closest name."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from runinference import ConfigurationError, PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor

from .models import Linear

BOTH = pytest.mark.parametrize("kind", [PytorchModelHandlerTensor, PytorchModelHandlerKeyedTensor])


def own(batch, model, device, inference_args=None, model_id=None):
    return batch


@BOTH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs one of state_dict_path, torch_script_model_path, exported_program_path; got none"),
        ({"state_dict_path": ""}, "got none"),
        (
            {"state_dict_path": "a", "model_class": Linear, "torch_script_model_path": "b"},
            "got state_dict_path and torch_script_model_path",
        ),
        ({"state_dict_path": "a"}, "state_dict_path needs model_class"),
        ({"torch_script_model_path": "a", "model_class": Linear}, "have no effect with torch_script_model_path"),
        ({"exported_program_path": "a", "model_params": {}}, "have no effect with exported_program_path"),
        ({"state_dict_path": "a", "model_class": "Linear"}, "model_class must be a class or function, got 'Linear'"),
        ({"torch_script_model_path": "a", "inference_fn": "double"}, "inference_fn must be a function, got 'double'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(kind, arguments, message):
    with pytest.raises(ConfigurationError, match=f"{kind.__name__}.*{message}"):
        kind(**arguments)


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paddingg": 0}, "has no option 'paddingg'. Did you mean 'padding'"),
        ({"presicion": "bf16"}, "has no option 'presicion'. Did you mean 'precision'"),
        ({"max_len": 5}, "has no option 'max_len'. Did you mean 'max_length'"),
        ({"padding": "right"}, "padding must be a number or a mapping of names of inputs to numbers, got 'right'"),
        ({"padding": True}, "padding must be a number"),
        ({"padding": [0]}, "padding must be a number"),
        ({"padding_side": "top"}, "padding_side must be one of right, left, got 'top'"),
        ({"too_long": "cut"}, "too_long must be one of set_aside, truncate, got 'cut'"),
        ({"precision": "int8"}, "precision must be one of fp32, bf16, fp16, got 'int8'"),
        ({"precision": torch.bfloat16}, "precision must be one of fp32, bf16, fp16"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1, got 0"),
        ({"max_length": 5.0}, "max_length must be a whole number"),
        ({"threads": True}, "threads must be a whole number of at least 1, got True"),
        ({"compile": 3}, "compile must be True, False or a mode, got 3"),
        ({"channels_last": "yes"}, "channels_last must be True or False, got 'yes'"),
        ({"collate_fn": 3}, "collate_fn must be a function, got 3"),
        ({"output_fn": "argmax"}, "output_fn must be a function, got 'argmax'"),
        ({"max_batch_size": 0}, "max_batch_size must be a whole number of at least 1, got 0"),
    ],
)
def test_options_that_cannot_work_are_refused(kind, options, message):
    with pytest.raises(ConfigurationError, match=f"{kind.__name__}.*{message}"):
        kind("model.pth", Linear, **options)


@pytest.mark.parametrize("padding", [{"input_ids": "zero"}, {"input_ids": None}, {3: 0}, {"input_ids": True}])
def test_padding_by_name_is_checked_too(padding):
    with pytest.raises(ConfigurationError, match="padding must be"):
        PytorchModelHandlerKeyedTensor("model.pth", Linear, padding=padding)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 0},
        {"padding_side": "left"},
        {"collate_fn": list},
        {"max_length": 5},
        {"too_long": "truncate"},
        {"output_fn": len},
    ],
)
@BOTH
def test_options_that_a_function_of_ones_own_makes_useless_are_refused(kind, options):
    name = next(iter(options))
    with pytest.raises(ConfigurationError, match=f"{name} has no effect with an inference_fn of your own"):
        kind("model.pth", Linear, inference_fn=own, **options)


def test_an_option_that_is_none_is_not_set(saved):
    path, _ = saved(Linear)
    names = ("padding", "padding_side", "collate_fn", "max_length", "too_long", "output_fn", "precision", "compile")
    handler = PytorchModelHandlerTensor(path, Linear, **dict.fromkeys((*names, "channels_last", "threads")))
    assert len(list(handler.run_inference([torch.zeros(3)], handler.load_model()))) == 1


def test_a_path_may_be_an_object(saved):
    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(Path(path), Linear)
    assert handler.get_model_id() == path
    assert handler.load_model() is not None


def test_the_batch_options_are_those_of_every_handler():
    handler = PytorchModelHandlerKeyedTensor("m.pth", Linear, max_batch_size=8, max_batch_weight=4096)
    assert handler.batch_elements_kwargs()["max_batch_size"] == 8
    assert handler.batch_elements_kwargs()["length_fn"]({"input_ids": torch.zeros(7)}) == 7
    assert "length_fn" not in PytorchModelHandlerTensor("m.pth", Linear).batch_elements_kwargs()
    assert "length_fn" in PytorchModelHandlerTensor("m.pth", Linear, padding=0).batch_elements_kwargs()
    assert "length_fn" not in PytorchModelHandlerKeyedTensor("m", Linear, batch_length_fn=None).batch_elements_kwargs()


def test_metrics_are_where_dashboards_look_for_them():
    assert PytorchModelHandlerTensor("m.pth", Linear).get_metrics_namespace() == "BeamML_PyTorch"


def test_model_params_are_copied():
    params = {"inputs": 3}
    handler = PytorchModelHandlerTensor("m.pth", Linear, params)
    params["inputs"] = 5
    assert handler._model_params == {"inputs": 3}


def test_making_and_pickling_a_handler_imports_no_framework():
    code = (
        "import pickle, sys\n"
        "from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor\n"
        "from runinference import make_tensor_model_fn\n"
        "for kind in (PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor):\n"
        "    handler = kind('m.pth', dict, device='auto', precision='bf16', padding=0)\n"
        "    pickle.loads(pickle.dumps(handler.with_preprocess_fn(len)))\n"
        "    pickle.dumps(kind(torch_script_model_path='m.pt', inference_fn=make_tensor_model_fn('generate')))\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_handler_survives_pickling_with_all_of_its_options(saved):
    path, _ = saved(Linear)
    handler = PytorchModelHandlerTensor(path, Linear, {"inputs": 3}, padding=1.5, max_length=3, output_fn=torch.relu)
    again = pickle.loads(pickle.dumps(handler))
    assert again._settings == handler._settings
    assert again._model_params == {"inputs": 3}
