"""Small PyTorch modules of every kind that the tests run."""

import math

import torch
from torch import nn


class Linear(nn.Module):
    """Three features to two."""

    def __init__(self, inputs: int = 3, outputs: int = 2):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor, scale: float = 1.0):
        return self.linear(x) * scale

    def doubled(self, x: torch.Tensor, scale: float = 1.0):
        return 2 * self.linear(x) * scale


class KeyedLinear(nn.Module):
    """The sum of two inputs, each through weights of its own."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, a, b, scale=1.0):
        return {"sum": (self.left(a) + self.right(b)) * scale, "first": a[:, 0]}

    def backwards(self, a, b):
        return self.left(a) - self.right(b)


class Encoder(nn.Module):
    """One layer of self-attention over tokens, with outputs per token, per row, and per pair of tokens."""

    def __init__(self, vocabulary=50, size=16, heads=2):
        super().__init__()
        self.heads = heads
        self.embedding = nn.Embedding(vocabulary, size)
        rates = torch.exp(torch.arange(0, size, 2) * (-math.log(100.0) / size))
        angles = torch.arange(64)[:, None] * rates
        self.register_buffer("positions", torch.stack([angles.sin(), angles.cos()], -1).flatten(1), persistent=False)
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, input_ids, attention_mask=None):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        # Counted over real tokens, so that padding on the left does not move them.
        position = (mask.cumsum(1) - 1).clamp(min=0)
        x = self.embedding(input_ids) + self.positions[position]
        n, length, size = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / math.sqrt(size / self.heads)
        attention = scores.masked_fill(mask[:, None, None, :] == 0, float("-inf")).softmax(-1)
        y = self.norm(x + self.out((attention @ v).transpose(1, 2).reshape(n, length, size)))
        weights = mask[..., None].to(y.dtype)
        return {"tokens": y, "pooled": (y * weights).sum(1) / weights.sum(1), "attention": attention}


class Conv(nn.Module):
    """Images of three channels to four numbers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


class Same(nn.Module):
    """What it is given; with one parameter, so that it can be saved."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x


def random_weights(module, seed=0):
    """The module in evaluation mode, with weights and statistics that are not those it started with."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.1)
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight.copy_(torch.randn(part.weight.shape, generator=random) / 2)
    return module.eval()
