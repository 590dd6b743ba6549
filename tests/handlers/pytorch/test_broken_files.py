"""Files that are missing, damaged or something else: an error that says so, and never code that is run."""

import contextlib
import json
import os
import pickle
import re
import zipfile

import joblib
import pytest
import safetensors.torch
import torch
from torch import nn

from runinference import ModelLoadError, PytorchModelHandlerTensor

from .models import Linear, random_weights


def load(path, **params):
    return PytorchModelHandlerTensor(str(path), Linear, **params).load_model()


class Evil:
    """Creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.bin", "model.safetensors"])
@pytest.mark.parametrize("write", ["zip", "legacy", "pickle", "joblib"])
@pytest.mark.parametrize("wanted", ["state_dict_path", "torch_script_model_path", "exported_program_path"])
def test_code_in_a_file_is_never_run(tmp_path, name, write, wanted):
    target = tmp_path / "executed"
    tensors = {"linear.weight": torch.rand(2, 3), "extra": Evil(str(target))}
    path = tmp_path / name
    if write in ("zip", "legacy"):
        torch.save(tensors, path, _use_new_zipfile_serialization=write == "zip")
    elif write == "pickle":
        path.write_bytes(pickle.dumps(tensors))
    else:
        joblib.dump(tensors, path)
    handler = PytorchModelHandlerTensor(
        **{wanted: str(path)}, model_class=Linear if wanted == "state_dict_path" else None
    )
    with pytest.raises(ModelLoadError, match=name):
        handler.load_model()
    assert not target.exists()


def test_code_in_the_examples_of_a_program_is_never_run(tmp_path, exported):
    target, evil = tmp_path / "executed", tmp_path / "evil.pt2"
    held = tmp_path / "held.pt"
    torch.save(Evil(str(target)), held)
    with zipfile.ZipFile(exported(Linear(), torch.zeros(3))) as source, zipfile.ZipFile(evil, "w") as changed:
        for name in source.namelist():
            changed.writestr(name, held.read_bytes() if "sample_inputs" in name else source.read(name))
    with contextlib.suppress(ModelLoadError):
        PytorchModelHandlerTensor(exported_program_path=str(evil)).load_model()
    assert not target.exists()


@pytest.mark.parametrize("part", ["weights", "constants"])
def test_code_in_the_weights_of_a_program_is_never_run(tmp_path, exported, part):
    target, evil, held = tmp_path / "executed", tmp_path / "evil.pt2", tmp_path / "held.pt"
    torch.save(Evil(str(target)), held)
    with zipfile.ZipFile(exported(Linear(), torch.zeros(3))) as source, zipfile.ZipFile(evil, "w") as changed:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(f"model_{part}_config.json"):
                config = json.loads(content)
                entry = next(iter(config["config"].values()), {"is_param": False, "tensor_meta": None})
                config["config"]["evil"] = {**entry, "path_name": "evil", "use_pickle": True}
                changed.writestr(f"{name.rpartition('/')[0]}/evil", held.read_bytes())
                content = json.dumps(config)
            changed.writestr(name, content)
    with pytest.raises(ModelLoadError, match="holds weights that are more than tensors and was not loaded"):
        PytorchModelHandlerTensor(exported_program_path=str(evil)).load_model()
    assert not target.exists()


def test_what_a_file_would_run_is_named(tmp_path):
    torch.save({"w": Evil(str(tmp_path / "executed"))}, tmp_path / "model.pth")
    with pytest.raises(ModelLoadError, match=r"holds more than weights and was not loaded.*asks for posix.mkdir"):
        load(tmp_path / "model.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_is_told_to_be_saved_as_weights(tmp_path, zipped):
    torch.save(nn.Linear(3, 2), tmp_path / "model.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelLoadError, match=r"asks for torch.nn.modules.linear.Linear. Save model.state_dict\(\)"):
        load(tmp_path / "model.pth")


def test_a_whole_module_is_no_state_dict_even_where_code_may_run(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "model.pth")
    with pytest.raises(ModelLoadError, match=r"holds no state dict but an object of type torch.nn.*Linear"):
        load(tmp_path / "model.pth", load_model_args={"weights_only": False})


def test_a_checkpoint_is_told_where_the_weights_may_be(tmp_path):
    torch.save({"state_dict": Linear().state_dict(), "epoch": 3}, tmp_path / "model.pth")
    message = "holds no state dict but a dict with state_dict, epoch; its entry 'state_dict' may be one"
    with pytest.raises(ModelLoadError, match=message):
        load(tmp_path / "model.pth")


def test_the_state_of_an_optimizer_is_not_taken_for_the_weights(tmp_path):
    optimizer = torch.optim.SGD(Linear().parameters(), lr=0.1)
    checkpoint = {"optimizer": optimizer.state_dict(), "weights": Linear().state_dict()}
    torch.save(checkpoint, tmp_path / "model.pth")
    with pytest.raises(ModelLoadError, match="its entry 'weights' may be one"):
        load(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({}, "holds no state dict but an empty dict"),
        (torch.rand(3), "holds no state dict but an object of type torch.Tensor"),
        ([torch.rand(3)], "holds no state dict but an object of type list"),
        ({"linear.weight": 3}, "holds no state dict but a dict with linear.weight"),
    ],
)
def test_what_a_file_holds_is_told(tmp_path, saved, message):
    torch.save(saved, tmp_path / "model.pth")
    with pytest.raises(ModelLoadError, match=message):
        load(tmp_path / "model.pth")


def test_a_dict_of_tensors_by_number_is_no_state_dict(tmp_path):
    torch.save({0: torch.rand(3)}, tmp_path / "model.pth")
    with pytest.raises(ModelLoadError, match=r"model\.pth"):
        load(tmp_path / "model.pth")


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\0", b"not a model at all, but some text\n" * 40, bytes(2000)])
def test_a_file_of_something_else_is_no_model(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadError, match=re.escape(name)):
        load(tmp_path / name)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "safetensors by another name"])
def test_a_truncated_file_of_weights_is_told_wherever_it_ends(tmp_path, kind):
    tensors = random_weights(Linear()).state_dict()
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pth")
    if kind.startswith("safetensors"):
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    assert load(path) is not None
    for end in range(0, len(content) - 1, max(1, len(content) // 23)):
        path.write_bytes(content[:end])
        with pytest.raises(ModelLoadError, match=re.escape(str(path))):
            load(path)


def test_a_truncated_file_is_not_said_to_run_code(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(Linear().state_dict(), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for end in range(0, len(content) - 1, 7):
        path.write_bytes(content[:end])
        with pytest.raises(ModelLoadError, match=r"^((?!run code).)*$"):
            load(path)


@pytest.mark.parametrize("kind", ["torch_script_model_path", "exported_program_path"])
def test_a_truncated_program_is_told_wherever_it_ends(tmp_path, script, exported, kind):
    module = random_weights(Linear())
    path = script(module) if kind == "torch_script_model_path" else exported(module, torch.zeros(3))
    with open(path, "rb") as file:
        content = file.read()
    for end in range(0, len(content) - 1, max(1, len(content) // 11)):
        with open(path, "wb") as file:
            file.write(content[:end])
        with pytest.raises(ModelLoadError, match=re.escape(path)):
            PytorchModelHandlerTensor(**{kind: path}).load_model()


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path):
    torch.save(Linear().state_dict(), tmp_path / "model.pth")
    message = f"The model {tmp_path / 'modle.pth'} does not exist. Did you mean {tmp_path / 'model.pth'}?"
    with pytest.raises(ModelLoadError, match=re.escape(message)):
        load(tmp_path / "modle.pth")


@pytest.mark.parametrize("kind", ["state_dict_path", "torch_script_model_path", "exported_program_path"])
def test_a_folder_is_no_model_file(tmp_path, kind):
    handler = PytorchModelHandlerTensor(
        **{kind: str(tmp_path)}, model_class=Linear if kind == "state_dict_path" else None
    )
    with pytest.raises(ModelLoadError, match="is a folder, not a model file"):
        handler.load_model()


def test_a_file_that_may_not_be_read_is_told(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(Linear().state_dict(), path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("whoever runs this may read everything")
    with pytest.raises(ModelLoadError, match=r"model\.pth"):
        load(path)


def test_each_kind_of_file_says_which_argument_it_is_for(tmp_path, script, exported):
    weights = tmp_path / "model.pth"
    torch.save(Linear().state_dict(), weights)
    scripted, program = script(Linear()), exported(Linear(), torch.zeros(3))
    cases = [
        ({"state_dict_path": scripted, "model_class": Linear}, "is no file of weights.*torch_script_model_path"),
        ({"state_dict_path": program, "model_class": Linear}, "is no file of weights.*exported_program_path"),
        ({"torch_script_model_path": program}, "is no TorchScript file.*exported_program_path"),
        ({"torch_script_model_path": str(weights)}, "is no TorchScript file.*state_dict_path and model_class"),
        ({"exported_program_path": scripted}, "is no exported program.*torch_script_model_path"),
        ({"exported_program_path": str(weights)}, "is no exported program.*state_dict_path and model_class"),
    ]
    for arguments, message in cases:
        with pytest.raises(ModelLoadError, match=message):
            PytorchModelHandlerTensor(**arguments).load_model()
