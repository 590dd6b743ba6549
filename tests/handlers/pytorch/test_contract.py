"""The PyTorch handlers keep the contract of handlers, with real models of every kind of file."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from runinference import PytorchModelHandlerKeyedTensor, PytorchModelHandlerTensor
from runinference.testing.handler_contract import HandlerContract

from .models import Encoder, KeyedLinear, Linear, random_weights


class Rows(HandlerContract):
    """Rows of three features."""

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        self.folder = tmp_path
        self.module = random_weights(self.model_class())
        self.path = str(tmp_path / self.name)
        self.write(self.module, self.path)

    name = "model.pth"
    model_class = Linear
    handler_class = PytorchModelHandlerTensor

    def write(self, module, path):
        torch.save(module.state_dict(), path)

    def handler(self, **options):
        return self.handler_class(self.path, self.model_class, **options)

    def examples(self, count):
        rows = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
        return [row.clone() for row in rows]  # No row is a view into all of them.

    def expected(self, examples, **arguments):
        return self.singly(self.module, examples, **arguments)

    def singly(self, module, examples, **arguments):
        with torch.no_grad():
            return [module(torch.as_tensor(example)[None], **arguments)[0] for example in examples]

    def honoured_args(self):
        return {"scale": 3.0}, self.expected(self.examples(3), scale=3.0)

    def other_model(self):
        other = random_weights(self.model_class(), seed=9)
        path = str(Path(self.path).with_name(f"other-{self.name}"))
        self.write(other, path)
        return path, self.singly(other, self.examples(3))

    def package(self):
        return "torch", "torch"

    def model_bytes(self):
        return sum(tensor.nbytes for tensor in self.module.state_dict().values())


class TestStateDict(Rows):
    pass


class TestSafetensors(Rows):
    name = "model.safetensors"

    def write(self, module, path):
        safetensors.torch.save_file(module.state_dict(), path)


class TestNumpyRows(Rows):
    def examples(self, count):
        return [row.numpy() for row in super().examples(count)]


class TestDoubleNumpyRows(Rows):
    """NumPy's default type is not that of the weights."""

    def examples(self, count):
        return [row.numpy().astype(np.float64) for row in super().examples(count)]

    def expected(self, examples, **arguments):
        return super().expected([example.astype(np.float32) for example in examples], **arguments)

    def other_model(self):
        self.examples, keep = (lambda count: [row.numpy() for row in Rows.examples(self, count)]), self.examples
        try:
            return super().other_model()
        finally:
            self.examples = keep


class TestLists(Rows):
    def examples(self, count):
        return [row.tolist() for row in super().examples(count)]

    def test_a_pickled_result_does_not_carry_its_batch(self):
        pytest.skip("lists of numbers pickle to sizes that differ by their digits")


class TestTorchScript(Rows):
    name = "model.pt"

    @pytest.fixture(autouse=True)
    def files(self, tmp_path, script):
        self.script = script
        self.module = random_weights(Linear())
        self.path = script(self.module)

    def handler(self, **options):
        return PytorchModelHandlerTensor(torch_script_model_path=self.path, **options)

    def write(self, module, path):
        self.script(module, Path(path).name)


class TestExportedProgram(Rows):
    name = "model.pt2"

    @pytest.fixture(autouse=True)
    def files(self, tmp_path, exported):
        self.exported = exported
        self.module = random_weights(Linear())
        self.path = exported(self.module, torch.zeros(3))

    def handler(self, **options):
        return PytorchModelHandlerTensor(exported_program_path=self.path, **options)

    def write(self, module, path):
        self.exported(module, torch.zeros(3), Path(path).name)

    def honoured_args(self):
        return None  # A program takes what it was exported with.


class TestKeyed(Rows):
    model_class = KeyedLinear
    handler_class = PytorchModelHandlerKeyedTensor

    def examples(self, count):
        random = torch.Generator().manual_seed(2)
        return [{"a": torch.randn(3, generator=random), "b": torch.randn(2, generator=random)} for _ in range(count)]

    def singly(self, module, examples, **arguments):
        def one(example):
            outputs = module(**{name: tensor[None] for name, tensor in example.items()}, **arguments)
            return {name: tensor[0] for name, tensor in outputs.items()}

        with torch.no_grad():
            return [one(example) for example in examples]

    def bad_example(self):
        return {"a": torch.zeros(4), "b": torch.zeros(2)}


class TestVariableLengths(TestKeyed):
    """Tokens of several lengths: predictions are those of each row alone and unpadded."""

    model_class = Encoder

    def examples(self, count):
        random = np.random.default_rng(3)
        return [{"input_ids": torch.tensor(random.integers(0, 50, random.integers(1, 20)))} for _ in range(count)]

    def bad_example(self):
        return {"input_ids": torch.tensor([1, 2, 5000])}

    def honoured_args(self):
        return None

    def test_a_pickled_result_does_not_carry_its_batch(self):
        pytest.skip("the results are of several sizes")
