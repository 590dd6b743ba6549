"""Loads a perceptron of PyTorch and predicts rows: `deep_perceptron.py make|ours|beam WIDTH STATE_DICT [--wait]`.

With `--wait` it holds the model until its standard input ends. With `make` it makes the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch

_LAYERS = 4
_ROWS = 32


class DeepPerceptron(torch.nn.Sequential):
    """Square layers; 400 MB of weights where they are 5,000 wide.

    Args:
        width: Inputs and outputs of each layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__(*(torch.nn.Linear(width, width) for _ in range(_LAYERS)))


def main(arguments: argparse.Namespace) -> None:
    """Prints a JSON document when all rows are predicted."""
    path, width = arguments.state_dict, arguments.width
    rows = list(torch.randn(_ROWS, width, generator=torch.Generator().manual_seed(0)))
    if arguments.kind == "make":
        torch.manual_seed(0)
        torch.save(DeepPerceptron(width).state_dict(), path)
    elif arguments.kind == "ours":
        from runinference import Engine, PytorchModelHandlerTensor

        with Engine(PytorchModelHandlerTensor(path, DeepPerceptron, {"width": width}, "CPU")) as engine:
            _report(list(engine.map(rows)), arguments.wait)
    else:
        from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerTensor as Handler

        handler = Handler(path, DeepPerceptron, {"width": width}, "CPU")
        model = handler.load_model()
        _report(list(handler.run_inference(rows, model, {})), arguments.wait)


def _report(results: list[Any], wait: bool) -> None:
    print(json.dumps({"answers": [int(result.inference.argmax()) for result in results]}), flush=True)
    if wait:
        sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["make", "ours", "beam"])
    parser.add_argument("width", type=int)
    parser.add_argument("state_dict")
    parser.add_argument("--wait", action="store_true")
    main(parser.parse_args())
