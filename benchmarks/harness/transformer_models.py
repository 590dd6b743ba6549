"""The models of transformers that the benchmarks run: random weights, made once, always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM, ResNetConfig, ResNetForImageClassification

from harness import data
from harness.machine import versions

_BERTS: dict[str, dict[str, int]] = {
    "tiny": {
        "vocab_size": 1000,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 256,
    },
    "base": {},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
_RESNETS: dict[str, dict[str, Any]] = {
    "tiny": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1]},
    "101": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 23, 3]},
}


def bert_config(size: str) -> BertConfig:
    """Of a BERT that is `tiny`, `base` or `large`."""
    return BertConfig(**_BERTS[size])


def bert_file(size: str) -> Path:
    """The state dict of such a BERT with the head of a masked language model."""
    return data.made_once(_name(f"bert-{size}"), lambda path: torch.save(_bert(size).state_dict(), path))


def resnet_config(size: str) -> ResNetConfig:
    """Of a ResNet that is `tiny`, or `101` as microsoft/resnet-101 is."""
    return ResNetConfig(layer_type="bottleneck", num_labels=1000, **_RESNETS[size])


def resnet_file(size: str) -> Path:
    """The state dict of such a ResNet with the head of a classifier."""
    return data.made_once(_name(f"resnet-{size}"), lambda path: torch.save(_resnet(size).state_dict(), path))


def images(count: int) -> list[torch.Tensor]:
    """Images of shape (3, 224, 224): coarse random patches, so that they differ as pictures do."""
    random = torch.Generator().manual_seed(2)
    patches = torch.randn(count, 3, 7, 7, generator=random)
    return list(torch.nn.functional.interpolate(patches, scale_factor=32.0, mode="bilinear"))


def _name(model: str) -> str:
    return f"{model}-transformers-{versions(['transformers'])['transformers']}.pth"


def _bert(size: str) -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(bert_config(size))


def _resnet(size: str) -> ResNetForImageClassification:
    """With statistics for its normalizations, and scores with a mean of 0: else all images are given few classes."""
    torch.manual_seed(0)
    model = ResNetForImageClassification(resnet_config(size))
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        pictures = torch.stack(images(16))
        model.train()(pictures)
        model.classifier[-1].bias -= model.eval()(pictures).logits.mean(0)
    return model
