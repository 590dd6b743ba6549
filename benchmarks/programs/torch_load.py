"""Loads a BERT and predicts one sentence: `torch_load.py ours|beam SIZE STATE_DICT [--device cpu|cuda] [--wait]`.

Everything is imported before the clock starts, and the file is read once by whoever calls this, so that it is in the
page cache for all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertForMaskedLM

# The harness is beside the folder of this program.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from harness import compute
from harness.sentences import make_sentences
from harness.transformer_models import bert_config


def main(arguments: argparse.Namespace) -> None:
    """Prints a JSON document; with `--wait` ends only when its standard input does."""
    compute.prepare()
    config = bert_config(arguments.size)
    sentence = make_sentences(1, config.vocab_size)[0]
    handler = _handler(arguments, config)
    compute.synchronize(arguments.device)  # Starts up the device.
    start = time.perf_counter()
    model = handler.load_model()
    compute.synchronize(arguments.device)
    load_s = time.perf_counter() - start
    (result,) = handler.run_inference([sentence], model, {})
    tokens = np.asarray(result.inference["logits"].cpu()).argmax(-1)
    first_s = time.perf_counter() - start
    print(json.dumps({"load_s": load_s, "first_s": first_s, "answer": tokens.tolist()}), flush=True)
    if arguments.wait:
        sys.stdin.read()


def _handler(arguments: argparse.Namespace, config: Any) -> Any:
    if arguments.kind == "ours":
        from runinference import PytorchModelHandlerKeyedTensor
        from runinference.handlers.pytorch import prepare, runner, state_dict  # noqa: F401
    else:
        from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerKeyedTensor
    device = "GPU" if arguments.device == "cuda" else "CPU"
    return PytorchModelHandlerKeyedTensor(arguments.state_dict, BertForMaskedLM, {"config": config}, device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["ours", "beam"])
    parser.add_argument("size")
    parser.add_argument("state_dict")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--wait", action="store_true")
    torch.set_grad_enabled(False)
    main(parser.parse_args())
