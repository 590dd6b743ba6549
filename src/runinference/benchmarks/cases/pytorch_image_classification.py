"""Images through a ResNet in PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.own import own_images
from runinference.benchmarks.data.photos import photo_files
from runinference.benchmarks.models.devices import beams_device
from runinference.benchmarks.models.outputs import best_class
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.models.resnet import DECODE, RESNET, resnet_flops
from runinference.packages import require


class PytorchImageClassification(Benchmark):
    """Which of 1,000 classes is on a photo? JPEG files through a ResNet of transformers, decoding included.

    The photos are 500 × 375 pixels, some 10 % more or less: parts of two real ones, enlarged, mirrored and in other
    colours, each different. They take about 48 kB each, 2.4 GB for 50,000. Of `--input`, a file, folder or glob, as
    many images are taken as are asked for, or all that are there. Each is squeezed to 224 × 224 pixels.

    Weights are random, and balanced so that classes differ from photo to photo. `--weights` is the state dict of a
    `ResNetForImageClassification` of that size, or a folder with such a model.

    Beam's handler is set up as in Beam's example for image classification: batches of 10 to 100. Both handlers decode
    with the same function.
    """

    name = "pytorch-image-classification"
    title = "PyTorch image classification"
    models = tuple(RESNET.models)
    packages = ("torch", "transformers", "pillow")
    extras = ("huggingface", "images", "sklearn")
    # Random weights leave calls so close that the order of additions decides some.
    equal = 0.999

    def prepare(self) -> None:
        """Makes the weights and photos."""
        self._model().arguments()
        self.examples()

    def examples(self) -> Sequence[str]:
        """The paths of the images."""
        if self.settings.input is not None:
            return own_images(self.settings.input, self.settings.examples)
        return photo_files(self.settings.examples)

    def handler(self) -> Any:
        """Ours, of which only the class leaves the device."""
        from runinference.handlers.pytorch.handlers import PytorchModelHandlerTensor

        options = {"device": self.settings.device, "output_fn": best_class, **self.settings.handler_options}
        return PytorchModelHandlerTensor(*self._model().arguments(), **options).with_preprocess_fn(DECODE)

    def beams_handler(self) -> Any:
        """Beam's, with the batches of its example."""
        beam = require("apache_beam.ml.inference.pytorch_inference", "beam", "run Beam's own handler")
        handler = beam.PytorchModelHandlerTensor(
            *self._model().arguments(), beams_device(self.settings), min_batch_size=10, max_batch_size=100
        )
        return handler.with_preprocess_fn(decode_to_tensor)

    def answer(self, inference: Any) -> int:
        """The number of the class."""
        return int(inference)

    def beams_answer(self, inference: Any) -> int:
        """The number of the class with the highest score."""
        return int(inference["logits"].argmax())

    def num_bytes(self, examples: Sequence[str]) -> int:
        """The bytes of the files."""
        return sum(map(os.path.getsize, examples))

    def flops(self, examples: Sequence[str]) -> float:
        """Those of the convolutions and of the classifier."""
        return resnet_flops(self._model().config()) * len(examples)

    def _model(self) -> PretrainedModel:
        return PretrainedModel(RESNET, self.settings)


def decode_to_tensor(path: str) -> Any:
    """An image as Beam's handler takes it."""
    import torch

    return torch.from_numpy(DECODE(path))
