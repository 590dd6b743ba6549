"""An image classifier, ResNet-101, on 64 images of 224 x 224: in batches of 16 by hand, as they come with ours.

Beam's handler is called with batches of 16 too, which its example for images allows (10 to 100).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import torch
from transformers import ResNetForImageClassification

from harness import beam, compute
from harness.contest import Contest, Work
from harness.result import Result, Settings
from harness.transformer_models import images, resnet_config, resnet_file
from runinference import Engine, PytorchModelHandlerTensor, infer

_BATCH_ROWS = 16
_OF_LOOP = 0.95
_FLOPS = 15.66e9
_BF16 = {"precision": "bf16"}
_CHANNELS_LAST = {"channels_last": True}

Images = Sequence[torch.Tensor]


def run(settings: Settings) -> list[Result]:
    """In fp32, in both memory orders, and in bf16."""
    compute.prepare()
    # By default convolutions are computed in tf32 on a GPU.
    precision = "tf32" if settings.device == "cuda" else "fp32"
    compute.peak(settings.device, precision, settings.quick)
    size = "tiny" if settings.quick else "101"
    rows = images(8 if settings.quick else 64)
    few = rows if settings.quick or compute.has_bf16(settings.device) else rows[:16]
    model, last = _by_hand(settings, size), _by_hand(settings, size).to(memory_format=torch.channels_last)
    loop_last = partial(_loop, order=torch.channels_last)
    with ExitStack() as stack:
        plain, ours_last, half = (_loaded(stack, settings, size, each) for each in ({}, _CHANNELS_LAST, _BF16))
        contest = Contest.hold(
            "resnet",
            {
                "ours": Work(len(rows), partial(_ours, rows, plain)),
                "loop": Work(len(rows), partial(_loop, rows, model, settings.device)),
                "ours, channels last": Work(len(rows), partial(_ours, rows, ours_last)),
                "loop, channels last": Work(len(rows), partial(loop_last, rows, last, settings.device)),
                **_beam(settings, size, rows),
            },
            settings.repeat,
        )
        half_contest = Contest.hold(
            f"resnet, {len(few)} images",
            {
                "ours": Work(len(few), partial(_ours, few, plain)),
                "ours, bf16": Work(len(few), partial(_ours, few, half)),
                "loop, bf16": Work(len(few), partial(_loop, few, model, settings.device, torch.bfloat16)),
            },
            settings.repeat,
        )
    results = [
        contest.against("ours", "loop", _OF_LOOP),
        contest.against("ours, channels last", "loop, channels last", _OF_LOOP),
        contest.against("ours, channels last", "ours"),
        contest.against("ours", "Beam's handler"),
        contest.against("ours", "Beam's pipeline", note="the pipeline loads its model"),
        half_contest.against("ours, bf16", "loop, bf16", _OF_LOOP, exact=False),
        half_contest.against("ours, bf16", "ours", exact=False, note="random weights leave close calls"),
    ]
    if settings.quick:
        return results
    peak = compute.peak(settings.device, precision)
    names = [name for name in contest.samples if name != "Beam's pipeline"]
    return results + [contest.of_peak(name, _FLOPS, peak) for name in names]


def best_class(outputs: Any, inputs: Any) -> torch.Tensor:
    """The likeliest class of each image."""
    del inputs
    best: torch.Tensor = outputs.logits.argmax(-1)
    return best


def class_of_result(result: Any) -> int:
    """What the example's post-processing finds in the logits of an image."""
    return int(result.inference["logits"].argmax())


def _ours(rows: Images, handler: Any) -> list[int]:
    return [result.inference for result in infer(rows, handler)]


def _loaded(stack: ExitStack, settings: Settings, size: str, options: dict[str, Any]) -> PytorchModelHandlerTensor:
    handler = PytorchModelHandlerTensor(
        str(resnet_file(size)),
        ResNetForImageClassification,
        {"config": resnet_config(size)},
        device=settings.device,
        output_fn=best_class,
        **options,
    )
    # While this engine is open, others find its model loaded.
    deque(stack.enter_context(Engine(handler)).map(images(1)), maxlen=0)
    return handler


def _by_hand(settings: Settings, size: str) -> ResNetForImageClassification:
    model = ResNetForImageClassification(resnet_config(size))
    model.load_state_dict(torch.load(resnet_file(size), weights_only=True))
    return model.eval().to(settings.device)


def _loop(
    rows: Images,
    model: Any,
    device: str,
    dtype: torch.dtype | None = None,
    order: torch.memory_format = torch.contiguous_format,
) -> list[int]:
    found = []
    with torch.inference_mode(), nullcontext() if dtype is None else torch.autocast(device, dtype):
        for start in range(0, len(rows), _BATCH_ROWS):
            batch = torch.stack(list(rows[start : start + _BATCH_ROWS]))
            if device == "cuda":
                batch = batch.pin_memory().to(device, non_blocking=True)
            found.append(model(batch.contiguous(memory_format=order)).logits.argmax(-1))
    return list(torch.cat(found).cpu().numpy())


def _beam(settings: Settings, size: str, rows: Images) -> dict[str, Work]:
    if not beam.installed():
        return {}
    from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerTensor as Handler

    handler = Handler(
        str(resnet_file(size)),
        ResNetForImageClassification,
        {"config": resnet_config(size)},
        "GPU" if settings.device == "cuda" else "CPU",
        min_batch_size=10,
        max_batch_size=100,
    )
    model = handler.load_model()

    return {
        "Beam's handler": Work(len(rows), lambda: list(beam.call(handler, model, rows, _BATCH_ROWS)), class_of_result),
        "Beam's pipeline": Work(len(rows), partial(beam.pipeline, handler, rows, class_of_result)),
    }
