"""Rows of numbers through perceptrons as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.made import made_once
from runinference.benchmarks.data.tables import num_bytes, rows_of
from runinference.benchmarks.data.weights import own_weights
from runinference.benchmarks.workers import check_reach
from runinference.errors import ConfigurationError
from runinference.packages import require

_WIDTHS = {
    "mlp-256": (64, 256, 256, 10),
    "mlp-2048": (64, 2048, 2048, 2048, 10),
}


class OnnxMlp(Benchmark):
    """Classifies rows of 64 float32, each an array of its own, with a perceptron that onnxruntime runs.

    `mlp-256` has layers of 64, 256, 256 and 10, so that the engine shows; `mlp-2048` has three layers of 2048, so that
    the model does. Weights are random. `--weights` names a file of one's own with one input of rows and one output
    whose largest value is the class; `--input` a table whose columns are its features. Beam forms batches as it does
    where nothing is said.
    """

    name = "onnx-mlp"
    title = "Perceptron, ONNX"
    models = tuple(_WIDTHS)
    extras = ("onnx",)
    default_examples = 100_000
    equal = 0.9999  # Two classes may be as likely as each other up to rounding.

    def prepare(self) -> None:
        """Writes the model."""
        check_reach(self.settings, self._model_file())

    def examples(self) -> Sequence[Any]:
        """Rows."""
        return rows_of(self.settings, self._widths[0])

    def handler(self) -> Any:
        """`OnnxModelHandlerNumpy`."""
        from runinference.handlers.onnx.handlers import OnnxModelHandlerNumpy

        return OnnxModelHandlerNumpy(self._model_file(), providers=self._providers, **self.settings.handler_options)

    def beams_handler(self) -> Any:
        """Beam's of the same name."""
        beams = require("apache_beam.ml.inference.onnx_inference", "beam", f"run {self.name} on Beam")
        return beams.OnnxModelHandlerNumpy(self._model_file(), providers=self._providers)

    def answer(self, inference: Any) -> int:
        """The likeliest class."""
        return int(np.argmax(inference))

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """Of the numbers."""
        return num_bytes(examples)

    def flops(self, examples: Sequence[Any]) -> float | None:
        """Of the products of matrices; not known of a file of one's own."""
        if self.settings.weights is not None:
            return None
        return 2.0 * len(examples) * sum(inner * outer for inner, outer in pairwise(self._widths))

    @property
    def _widths(self) -> Sequence[int]:
        return _WIDTHS[self.settings.model]

    @property
    def _providers(self) -> list[str]:
        cuda = ["CUDAExecutionProvider"] if self.settings.device == "cuda" else []
        return [*cuda, "CPUExecutionProvider"]

    def _model_file(self) -> str:
        weights = own_weights(self.settings)
        if weights is not None:
            return weights
        widths = self._widths
        name = f"mlp-{'-'.join(map(str, widths))}.onnx"
        return str(made_once(name, lambda path: _write_model(path, widths)))


def _write_model(path: Path, widths: Sequence[int]) -> None:
    try:
        import onnx
    except ImportError:
        raise ConfigurationError(
            "The package onnx is needed to make the model: pip install onnx. "
            "Or pass a model of your own: --weights model.onnx"
        ) from None
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    layers = list(pairwise(widths))
    for number, (inner, outer) in enumerate(layers):
        matrix = random.standard_normal((inner, outer), dtype=np.float32) / np.sqrt(inner, dtype=np.float32)
        weights.append(onnx.numpy_helper.from_array(matrix, f"w{number}"))
        weights.append(onnx.numpy_helper.from_array(np.zeros(outer, np.float32), f"b{number}"))
        last = number == len(layers) - 1
        product = "y" if last else f"s{number}"
        nodes.append(onnx.helper.make_node("Gemm", [name, f"w{number}", f"b{number}"], [product]))
        if not last:
            name = f"h{number}"
            nodes.append(onnx.helper.make_node("Relu", [product], [name]))
    kind = onnx.TensorProto.FLOAT
    inputs = [onnx.helper.make_tensor_value_info("x", kind, ["rows", widths[0]])]
    outputs = [onnx.helper.make_tensor_value_info("y", kind, ["rows", widths[-1]])]
    graph = onnx.helper.make_graph(nodes, "mlp", inputs, outputs, weights)
    # Version 8 of the format and 17 of the operators are read by every onnxruntime of the last years.
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
