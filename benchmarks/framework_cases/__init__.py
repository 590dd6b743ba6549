"""One file for each comparison; the order here is the order of the table."""

from __future__ import annotations

from framework_cases import load, matmul_peak, mlm, onnx_mlp, resnet, shared_memory, xgboost_trees
from harness.command import Case

CASES: dict[str, Case] = {
    "matmul_peak": matmul_peak.run,
    "mlm": mlm.run,
    "resnet": resnet.run,
    "load": load.run,
    "shared_memory": shared_memory.run,
    "xgboost": xgboost_trees.run,
    "onnx": onnx_mlp.run,
}
