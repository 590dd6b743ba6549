"""The ONNX handler keeps the contract of handlers, with models of every kind of input and output."""

import numpy as np
import onnx_models
import pytest

from runinference import OnnxModelHandlerNumpy
from runinference.testing.handler_contract import HandlerContract


class Onnx(HandlerContract):
    """Rows as arrays of three features; the model is linear."""

    rows = "N"

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        self.folder = tmp_path
        self.path = self.write("model.onnx")

    def write(self, name, sign=1):
        return onnx_models.linear(self.folder / name, sign * onnx_models.WEIGHTS, self.rows)

    def handler(self, **options):
        return OnnxModelHandlerNumpy(self.path, **options)

    def examples(self, count):
        return list(np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32))

    def expected(self, examples):
        return list(np.array(examples) @ onnx_models.WEIGHTS)

    def bad_example(self):
        return np.zeros(4, np.float32)

    def refused_args(self):
        return {"shfit": 1}

    def bytes_of(self, example):
        return 12

    def model_bytes(self):
        return onnx_models.WEIGHTS.nbytes

    def other_model(self):
        return self.write("other.onnx", -1), [-prediction for prediction in self.expected(self.examples(3))]

    def package(self):
        return "onnxruntime", "onnx"


class TestArrays(Onnx):
    pass


class TestFixedBatch(Onnx):
    """The model takes eight rows at a time."""

    rows = 8


class TestDicts(Onnx):
    """Two inputs, two outputs."""

    def write(self, name, sign=1):
        return onnx_models.two_and_two(self.folder / name, self.rows, sign * 2.0)

    def examples(self, count):
        a, b = np.random.default_rng(1).normal(size=(2, count, 2)).astype(np.float32)
        return [{"a": one, "b": other} for one, other in zip(a, b, strict=True)]

    def expected(self, examples):
        return [{"total": row["a"] + row["b"], "scaled": row["a"] * 2} for row in examples]

    def bad_example(self):
        return {"a": np.zeros(2, np.float32), "c": np.zeros(2, np.float32)}

    def bytes_of(self, example):
        return 16

    def model_bytes(self):
        return 4

    def other_model(self):
        path, rows = self.write("other.onnx", -1), self.expected(self.examples(3))
        return path, [{"total": row["total"], "scaled": -row["scaled"]} for row in rows]


class TestDictsOfAFixedBatch(TestDicts):
    rows = 8


class TestNamedProbabilities(Onnx):
    """The output is a list of dicts."""

    def write(self, name, sign=1):
        return onnx_models.classifier(self.folder / name, self.rows, ["no", "yes"][::sign])

    def handler(self, **options):
        return OnnxModelHandlerNumpy(self.path, output_names=["named"], **options)

    def examples(self, count):
        return list(np.random.default_rng(1).random(size=(count, 2)).astype(np.float32))

    def expected(self, examples):
        return [{"no": float(row[0]), "yes": float(row[1])} for row in examples]

    def bytes_of(self, example):
        return 8

    def model_bytes(self):
        return 1

    def other_model(self):
        rows = [{"yes": float(row[0]), "no": float(row[1])} for row in self.examples(3)]
        return self.write("other.onnx", -1), [dict(sorted(row.items())) for row in rows]


class TestNamedProbabilitiesOfAFixedBatch(TestNamedProbabilities):
    rows = 8


class TestArguments(Onnx):
    """An optional input is given for all rows."""

    def write(self, name, sign=1):
        return onnx_models.shifted(self.folder / name, self.rows, sign)

    def expected(self, examples):
        return [example + 1 for example in examples]

    def other_model(self):
        return self.write("other.onnx", -1), [example - 1 for example in self.examples(3)]

    def model_bytes(self):
        return 4

    def honoured_args(self):
        return {"shift": 10}, [example + 10 for example in self.examples(3)]


class TestArgumentsOfAFixedBatch(TestArguments):
    rows = 8


def times(session, batch, inference_args=None):
    """A function of one's own, with an argument of its own."""
    inference_args = dict(inference_args or {})
    factor = inference_args.pop("factor", 1)
    if inference_args:
        raise TypeError(f"unexpected {inference_args}")
    return session.run(["y"], {"x": np.stack(batch)})[0] * factor


class TestOwnFunction(Onnx):
    """With an `inference_fn`, which is given the arguments as they are."""

    def handler(self, **options):
        return OnnxModelHandlerNumpy(self.path, inference_fn=times, **options)

    def honoured_args(self):
        return {"factor": 3}, [3 * row for row in self.expected(self.examples(3))]
