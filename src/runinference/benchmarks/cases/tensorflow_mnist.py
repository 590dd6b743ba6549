"""Pictures of digits through a small network of Keras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.digits import SIDE, make_digits
from runinference.benchmarks.data.made import made_once
from runinference.benchmarks.data.tables import num_bytes, read_matrix
from runinference.benchmarks.data.weights import own_weights
from runinference.benchmarks.passes import Pass
from runinference.benchmarks.stand_ins import stand_in_for
from runinference.benchmarks.workers import check_reach
from runinference.errors import DataError
from runinference.packages import require

_TRAINING_PICTURES, _EPOCHS = 3_000, 4
_CHANNELS, _HIDDEN, _CLASSES = (16, 32), 64, 10


class TensorflowMnist(Benchmark):
    """Tells digits in pictures of 28 x 28 float32 with a small convolutional network of Keras.

    It has two convolutions of 16 and 32 channels with pooling and a hidden layer of 64, and is trained on pictures
    that are made like those that it is measured on. `--weights` names a `.keras` file of one's own that takes such
    pictures; `--input` a table of 784 columns, such as MNIST without its labels. Beam forms batches as it does where
    nothing is said.
    """

    name = "tensorflow-mnist"
    title = "Digits, TensorFlow"
    models = ("cnn",)
    extras = ("tensorflow",)
    default_examples = 50_000
    equal = 0.9999  # Two digits may be as likely as each other up to rounding.

    def prepare(self) -> None:
        """Trains the model."""
        check_reach(self.settings, self._model_file())

    def examples(self) -> Sequence[Any]:
        """Pictures of shape (28, 28, 1)."""
        source = self.settings.input
        if source is None:
            return list(make_digits(self.settings.examples, seed=1)[0])
        matrix = read_matrix(source, self.settings.examples)
        if matrix.shape[1] != SIDE * SIDE:
            raise DataError(f"{source} has {matrix.shape[1]:,} columns, but a picture has {SIDE * SIDE} pixels")
        return list(matrix.reshape(-1, SIDE, SIDE, 1))

    def handler(self) -> Any:
        """`TFModelHandlerNumpy`."""
        from runinference.handlers.tensorflow.handlers import TFModelHandlerNumpy

        return TFModelHandlerNumpy(self._model_file(), **self.settings.handler_options)

    def beams_handler(self) -> Any:
        """Beam's of the same name."""
        # Beam asks TensorFlow Hub where a model is, which of a file on this machine everybody knows.
        stand_in_for("tensorflow_hub", resolve=os.fspath)
        beams = require("apache_beam.ml.inference.tensorflow_inference", "beam", f"run {self.name} on Beam")
        return beams.TFModelHandlerNumpy(self._model_file())

    def answer(self, inference: Any) -> int:
        """The likeliest digit."""
        return int(np.argmax(inference))

    def num_bytes(self, examples: Sequence[Any]) -> int:
        """Of the numbers."""
        return num_bytes(examples)

    def flops(self, examples: Sequence[Any]) -> float | None:
        """Of convolutions and products; not known of a file of one's own."""
        return None if self.settings.weights is not None else float(_flops() * len(examples))

    def run(self, engine: str, examples: Sequence[Any]) -> Pass:
        """One pass, on the CPU even where there is a GPU if that is asked for."""
        if self.settings.device == "cpu":
            require("tensorflow", "tensorflow", f"run {self.name}").config.set_visible_devices([], "GPU")
        return super().run(engine, examples)

    def _model_file(self) -> str:
        weights = own_weights(self.settings)
        if weights is not None:
            return weights
        require("keras", "tensorflow", f"run {self.name}")
        return str(made_once(f"digits-keras-{version('keras')}.keras", _train))


def _train(path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Conv2D(_CHANNELS[0], 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(_CHANNELS[1], 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(_HIDDEN, activation="relu"),
            layers.Dense(_CLASSES, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    pictures, labels = make_digits(_TRAINING_PICTURES, seed=0)
    model.fit(pictures, labels, epochs=_EPOCHS, verbose=0)
    saved = path.with_name(f"{path.name}.keras")  # The suffix tells Keras the format.
    model.save(saved)
    saved.rename(path)


def _flops() -> int:
    """Of one picture: each convolution makes a picture smaller by 2, and pooling halves it."""
    total, side, channels = 0, SIDE, 1
    for wider in _CHANNELS:
        side -= 2
        total += 2 * side**2 * wider * 9 * channels
        side, channels = side // 2, wider
    return total + 2 * (side**2 * channels * _HIDDEN + _HIDDEN * _CLASSES)
