"""ResNets that classify images."""

from __future__ import annotations

from typing import Any, Final

from runinference.benchmarks.models.pretrained import Architecture
from runinference.handlers.images import ImagePreprocessor

SIDE: Final = 224
DECODE: Final = ImagePreprocessor(size=SIDE, resize=None)
"""The whole image squeezed to 224 × 224 pixels and normalised, as Beam's example does it."""

_KERNEL: Final = 7
_PHOTOS: Final = 16


def resnet_flops(config: Any) -> float:
    """Operations for one image of 224 × 224 pixels.

    Args:
        config: A `ResNetConfig`.
    """
    side = _halved(SIDE)
    total: int = side**2 * config.num_channels * config.embedding_size * _KERNEL**2
    side, before = _halved(side), config.embedding_size
    for stage, (channels, depth) in enumerate(zip(config.hidden_sizes, config.depths, strict=True)):
        stride = 2 if stage or config.downsample_in_first_stage else 1
        for _ in range(depth):
            total += _block(config, side, before, channels, stride)
            side, before, stride = (_halved(side) if stride == 2 else side), channels, 1
    return 2.0 * int(total + before * config.num_labels)


def balance_resnet(model: Any) -> None:
    """Gives the normalisations the statistics of photos, and each class a mean score of 0.

    Without that, a model with random weights gives nearly all images the same class.
    """
    import torch

    from runinference.benchmarks.data.photos import make_photo

    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    photos = torch.stack([torch.from_numpy(DECODE(make_photo(index))) for index in range(_PHOTOS)])
    model.train()(photos)
    model.classifier[-1].bias -= model.eval()(photos).logits.mean(0)


def _block(config: Any, side: int, before: int, channels: int, stride: int) -> int:
    """Multiply-adds of a block of convolutions with its shortcut."""
    after = _halved(side) if stride == 2 else side
    shortcut = after**2 * before * channels if stride != 1 or before != channels else 0
    if config.layer_type == "basic":
        return after**2 * 9 * channels * (before + channels) + shortcut
    narrow = channels // 4
    first = after if config.downsample_in_bottleneck else side
    return first**2 * before * narrow + after**2 * narrow * (9 * narrow + channels) + shortcut


def _halved(side: int) -> int:
    return (side + 1) // 2


RESNET: Final = Architecture(
    "resnet",
    "ResNetConfig",
    "ResNetForImageClassification",
    {
        name: {"layer_type": "bottleneck", "num_labels": 1000, **sizes}
        for name, sizes in {
            "resnet50": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]},
            "resnet101": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 23, 3]},
            "resnet152": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 8, 36, 3]},
            "tiny": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1]},
        }.items()
    },
    balance_resnet,
)
