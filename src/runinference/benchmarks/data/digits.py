"""Pictures of digits, drawn with seven segments, always the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SIDE = 28
_HEIGHT, _WIDTH = 17, 10
_NOISE = 0.15

# Which of the segments are lit: top, the upper left and right, the middle, the lower left and right, bottom.
_LIT = ("1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011")


def make_digits(count: int, seed: int) -> tuple[Array, Array]:
    """Pictures of float32 from 0 to about 1, of shape (count, 28, 28, 1), and what they show, of shape (count,).

    Digits are anywhere in the picture, more or less bright, and with noise all over.
    """
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count)
    tops, lefts = random.integers(0, SIDE - _HEIGHT, count), random.integers(0, SIDE - _WIDTH, count)
    strengths = random.uniform(0.5, 1, count).astype(np.float32)
    pictures = np.abs(random.normal(0, _NOISE, (count, SIDE, SIDE))).astype(np.float32)
    shapes = [_shape(lit) for lit in _LIT]
    for picture, label, top, left, strength in zip(pictures, labels, tops, lefts, strengths, strict=True):
        picture[top : top + _HEIGHT, left : left + _WIDTH] += strength * shapes[label]
    return pictures[..., np.newaxis], labels


def _shape(lit: str) -> Array:
    shape = np.zeros((_HEIGHT, _WIDTH), np.float32)
    middle = _HEIGHT // 2
    segments = [
        (slice(0, 2), slice(None)),
        (slice(0, middle), slice(0, 2)),
        (slice(0, middle), slice(-2, None)),
        (slice(middle - 1, middle + 1), slice(None)),
        (slice(middle, None), slice(0, 2)),
        (slice(middle, None), slice(-2, None)),
        (slice(-2, None), slice(None)),
    ]
    for segment, on in zip(segments, lit, strict=True):
        if on == "1":
            shape[segment] = 1
    return shape
