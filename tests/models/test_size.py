"""The bytes of a model are those of its arrays."""

import numpy as np
import pytest

from runinference.models.size import count_array_bytes

pytestmark = pytest.mark.core

ARRAY = np.zeros(100)


class Layer:
    def __init__(self, weights, parent=None):
        self.weights = weights
        self.parent = parent


class Slotted:
    __slots__ = ("weights",)

    def __init__(self):
        self.weights = np.zeros(10)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (ARRAY, 800),
        ({"a": ARRAY, "b": np.zeros(2, np.float32)}, 808),
        ([ARRAY, (np.zeros(1),)], 808),
        ([ARRAY, ARRAY], 800),
        (Layer(ARRAY), 800),
        (Slotted(), 80),
        (np.array([np.zeros(4), np.zeros(2)], dtype=object), 16 + 48),
        (None, 0),
        ("text", 0),
        (7, 0),
        (lambda: ARRAY, 0),
    ],
)
def test_arrays_are_counted_wherever_they_are(model, expected):
    assert count_array_bytes(model) == expected


def test_circles_end():
    layer = Layer(ARRAY)
    layer.parent = layer
    assert count_array_bytes(layer) == 800


def test_looking_ends_after_very_many_objects():
    assert count_array_bytes([ARRAY, *([] for _ in range(10))]) == 800
    assert count_array_bytes([ARRAY, *([] for _ in range(200_000))]) == 0


def test_an_object_that_cannot_be_looked_into_counts_nothing():
    class Guarded:
        @property
        def nbytes(self):
            raise RuntimeError("not initialised")

    assert count_array_bytes([Guarded(), ARRAY]) == 800
