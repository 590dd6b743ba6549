"""ONNX models made for tests, each a file of a few hundred bytes."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, DOUBLE, INT64, INT32 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32
BOOL, TEXT, BFLOAT16, FLOAT16 = TensorProto.BOOL, TensorProto.STRING, TensorProto.BFLOAT16, TensorProto.FLOAT16
WEIGHTS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)

node = helper.make_node
value = helper.make_tensor_value_info


def write(path, nodes, inputs, outputs, weights=(), **saving):
    """Writes a model; `weights` are arrays by name."""
    initializers = [numpy_helper.from_array(array, name) for name, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, path, **saving)
    return str(path)


def linear(path, weights=WEIGHTS, rows="N", **saving):
    """`y = x @ weights`, with `x` of shape (rows, 3) and `y` of shape (rows, 2)."""
    features, outputs = weights.shape
    return write(
        path,
        [node("MatMul", ["x", "w"], ["y"])],
        [value("x", FLOAT, [rows, features])],
        [value("y", FLOAT, [rows, outputs])],
        {"w": weights},
        **saving,
    )


def identity(path, kind=FLOAT, shape=("N", 3)):
    """`y = x`."""
    return write(
        path, [node("Identity", ["x"], ["y"])], [value("x", kind, list(shape))], [value("y", kind, list(shape))]
    )


def two_and_two(path, rows="N", factor=2.0):
    """`total = a + b` and `scaled = a * factor`, with `a` and `b` of shape (rows, 2)."""
    shape = [rows, 2]
    return write(
        path,
        [node("Add", ["a", "b"], ["total"]), node("Mul", ["a", "factor"], ["scaled"])],
        [value("a", FLOAT, shape), value("b", FLOAT, shape)],
        [value("total", FLOAT, shape), value("scaled", FLOAT, shape)],
        {"factor": np.array(factor, np.float32)},
    )


def shifted(path, rows="N", shift=None):
    """`y = x + shift`, with `shift` a vector of one number for all rows; optional where the model has a value."""
    return write(
        path,
        [node("Add", ["x", "shift"], ["y"])],
        [value("x", FLOAT, [rows, 3]), value("shift", FLOAT, [1])],
        [value("y", FLOAT, [rows, 3])],
        {} if shift is None else {"shift": np.array([shift], np.float32)},
    )


def classifier(path, rows="N", labels=("no", "yes")):
    """Probabilities as they are, and once more as a dict for each row, as sklearn-onnx makes them."""
    of_row = helper.make_map_type_proto(TEXT, helper.make_tensor_type_proto(FLOAT, []))
    return write(
        path,
        [
            node("Identity", ["p"], ["raw"]),
            node("ZipMap", ["p"], ["named"], domain="ai.onnx.ml", classlabels_strings=list(labels)),
        ],
        [value("p", FLOAT, [rows, 2])],
        [value("raw", FLOAT, [rows, 2]), helper.make_value_info("named", helper.make_sequence_type_proto(of_row))],
    )


def embedded(path, sizes=(10, 2)):
    """`y = table[ids]`: an id that is not in the table fails."""
    return write(
        path,
        [node("Gather", ["table", "ids"], ["y"])],
        [value("ids", INT64, ["N", "length"])],
        [value("y", FLOAT, ["N", "length", sizes[1]])],
        {"table": np.arange(np.prod(sizes), dtype=np.float32).reshape(sizes)},
    )
