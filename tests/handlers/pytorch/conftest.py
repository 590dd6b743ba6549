"""Files of models, and runs of them."""

import warnings

import pytest
import torch

from runinference import infer

from .models import random_weights


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Models so small are slower with more threads than with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def saved(tmp_path):
    """Saves the weights of a new module of a class: `saved(Linear)` gives the path and the module."""

    def save(model_class, name="model.pth", seed=0, **params):
        module = random_weights(model_class(**params), seed)
        torch.save(module.state_dict(), tmp_path / name)
        return str(tmp_path / name), module

    return save


@pytest.fixture
def script(tmp_path):
    """Saves a module as TorchScript; gives the path."""

    def save(module, name="model.pt", freeze=False):
        with warnings.catch_warnings():
            # PyTorch announces the end of TorchScript to whoever writes it.
            warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
            made = torch.jit.script(module)
            torch.jit.save(torch.jit.freeze(made) if freeze else made, tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def exported(tmp_path):
    """Exports a module for batches of any size; gives the path."""

    def save(module, row, name="model.pt2"):
        example = torch.stack([row] * 4)
        program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def predict():
    """The predictions of a handler for rows."""

    def run(handler, rows, **arguments):
        return [result.inference for result in infer(rows, handler, **arguments)]

    return run


@pytest.fixture
def together():
    """Options that put so many rows into one batch."""

    def options(count):
        return {"min_batch_size": count, "max_batch_size": count}

    return options
