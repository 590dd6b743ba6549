"""Models behind URLs."""

import fsspec
import pytest
import torch

from runinference import ModelLoadError, PytorchModelHandlerTensor, infer

from .models import Linear

ROW = torch.tensor([1.0, 2.0, 3.0])


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path / "cache"))
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


def test_a_model_behind_a_url_predicts_as_one_that_is_here(saved, exported, script, memory):
    weights, module = saved(Linear)
    for name, path in {"m.pth": weights, "m.pt": script(module), "m.pt2": exported(module, ROW)}.items():
        with open(path, "rb") as file:
            memory.pipe(f"/models/{name}", file.read())
    handlers = [
        PytorchModelHandlerTensor("memory://models/m.pth", Linear),
        PytorchModelHandlerTensor(torch_script_model_path="memory://models/m.pt"),
        PytorchModelHandlerTensor(exported_program_path="memory://models/m.pt2"),
    ]
    for handler in handlers:
        (result,) = infer([ROW], handler)
        with torch.no_grad():
            torch.testing.assert_close(result.inference, module(ROW[None])[0])
        assert result.model_id.startswith("memory://models/m.p")


def test_errors_name_the_url_and_not_the_copy(memory):
    memory.pipe("/models/m.pth", b"no model")
    with pytest.raises(ModelLoadError, match=r"memory://models/m.pth"):
        PytorchModelHandlerTensor("memory://models/m.pth", Linear).load_model()
    with pytest.raises(ModelLoadError, match=r"The model memory://models/n.pth does not exist"):
        PytorchModelHandlerTensor("memory://models/n.pth", Linear).load_model()
