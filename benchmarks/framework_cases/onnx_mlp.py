"""A perceptron, 64-256-256-10, as ONNX on 100,000 rows: `infer`, a loop in batches of 256, Beam's handler.

Beam's handler is called with batches of 256 too; its example has batches of one row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from harness import beam, data
from harness.compute import THREADS
from harness.contest import Contest, Work
from harness.result import Result, Settings
from runinference import Engine, OnnxModelHandlerNumpy, infer

_WIDTHS = (data.FEATURES, 256, 256, 10)
_BATCH_ROWS = 256
_PROVIDERS = ["CPUExecutionProvider"]
_OF_LOOP = 0.95

Rows = Sequence[np.ndarray[Any, Any]]


def answer(result: Any) -> int:
    """The likeliest class."""
    return int(result.inference.argmax())


def run(settings: Settings) -> list[Result]:
    """Rows that are arrays of their own in a list."""
    rows = list(data.matrix(5_000 if settings.quick else 100_000))
    path = data.made_once("mlp-64-256-256-10.onnx", _write_model)
    handler = OnnxModelHandlerNumpy(str(path), {"intra_op_num_threads": THREADS}, _PROVIDERS)
    session = onnxruntime.InferenceSession(path, _session_options(), _PROVIDERS)
    with Engine(handler) as engine:
        deque(engine.map(rows[:1]), maxlen=0)
        contest = Contest.hold(
            "onnx",
            {
                "ours": Work(len(rows), lambda: list(infer(rows, handler)), answer),
                "loop": Work(len(rows), partial(_loop, rows, session), np.argmax),
                **_beam(path, rows),
            },
            settings.repeat,
        )
    return [
        contest.against("ours", "loop", _OF_LOOP),
        contest.against("ours", "Beam's handler"),
        contest.against("ours", "Beam's pipeline"),
    ]


def _write_model(path: Path) -> None:
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    for number, (inner, outer) in enumerate(pairwise(_WIDTHS)):
        matrix = random.standard_normal((inner, outer), dtype=np.float32) / np.sqrt(inner, dtype=np.float32)
        weights += [
            numpy_helper.from_array(matrix, f"w{number}"),
            numpy_helper.from_array(np.zeros(outer, np.float32), f"b{number}"),
        ]
        last = outer == _WIDTHS[-1]
        sums = "y" if last else f"s{number}"
        nodes.append(helper.make_node("Gemm", [name, f"w{number}", f"b{number}"], [sums]))
        if not last:
            name = f"h{number}"
            nodes.append(helper.make_node("Relu", [sums], [name]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", _WIDTHS[0]])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", _WIDTHS[-1]])]
    graph = helper.make_graph(nodes, "mlp", inputs, outputs, weights)
    # Version 8 of the format and 17 of the operators are read by every onnxruntime of the last years.
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)


def _session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return options


def _loop(rows: Rows, session: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(rows), _BATCH_ROWS):
        (scores,) = session.run(None, {"x": np.stack(rows[start : start + _BATCH_ROWS])})
        found.extend(scores)
    return found


def _beam(path: Path, rows: Rows) -> dict[str, Work]:
    if not beam.installed():
        return {}
    from apache_beam.ml.inference.onnx_inference import OnnxModelHandlerNumpy as Handler

    handler = Handler(str(path), _session_options(), _PROVIDERS)
    model = handler.load_model()

    # Session options cannot be pickled: in the pipeline onnxruntime decides on its threads.
    piped = Handler(str(path), None, _PROVIDERS)
    return {
        "Beam's handler": Work(len(rows), lambda: list(beam.call(handler, model, rows, _BATCH_ROWS)), answer),
        "Beam's pipeline": Work(len(rows), partial(beam.pipeline, piped, rows, answer)),
    }
