"""Images through a ResNet in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.data.image_files import bytes_of_files, image_source
from runinference.benchmarks.data.own import own_images
from runinference.benchmarks.data.photos import photo_files
from runinference.benchmarks.models.devices import beams_device
from runinference.benchmarks.models.outputs import best_class
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.models.resnet import DECODE, RESNET, resnet_flops
from runinference.benchmarks.workers import check_reach
from runinference.packages import require


class PytorchImageClassification(Benchmark):
    """Which of 1,000 classes is on a photo? JPEG files through a ResNet of transformers, decoding included.

    The photos are 500 × 375 pixels, some 10 % more or less: parts of two real ones, enlarged, mirrored and in other
    colours, each different. They take about 48 kB each, 2.4 GB for 50,000. Of `--input`, a file, folder or glob or
    the URL of one, as many images are taken as are asked for, or all that are there. Each is squeezed to 224 × 224
    pixels.

    Weights are random, and balanced so that classes differ from photo to photo. `--weights` is the state dict of a
    `ResNetForImageClassification` of that size, a file or URL, or a folder with such a model.

    Beam's handler is set up as in Beam's example for image classification: batches of 10 to 100. Both handlers decode
    with the same function. Ours keeps images in the memory order that convolutions are faster in, as is advised for it,
    and leaves all but the class on the device.
    """

    name = "pytorch-image-classification"
    title = "PyTorch image classification"
    models = tuple(RESNET.models)
    extras = ("huggingface", "images", "sklearn")
    # Random weights leave calls so close that the order of additions decides some.
    equal = 0.999

    def prepare(self) -> None:
        """Makes the weights and photos."""
        weights, *_ = self._model().arguments()
        check_reach(self.settings, weights, self.examples())

    def examples(self) -> Sequence[str]:
        """The paths of the images, or their URLs."""
        if self.settings.input is not None:
            return own_images(self.settings.input, self.settings.examples)
        return photo_files(self.settings.examples)

    def handler(self) -> Any:
        """Ours, of which only the class leaves the device."""
        from runinference.handlers.pytorch.handlers import PytorchModelHandlerTensor

        own = {"device": self.settings.device, "output_fn": best_class, "channels_last": True}
        options = own | dict(self.settings.handler_options)
        return PytorchModelHandlerTensor(*self._model().arguments(), **options).with_preprocess_fn(decode)

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

    def num_bytes(self, examples: Sequence[str]) -> int | None:
        """The bytes of the files."""
        return bytes_of_files(examples)

    def flops(self, examples: Sequence[str]) -> float:
        """Those of the convolutions and of the classifier."""
        return resnet_flops(self._model().config()) * len(examples)

    def _model(self) -> PretrainedModel:
        return PretrainedModel(RESNET, self.settings)


def decode(path: str) -> Any:
    """An image as the model takes it.

    Args:
        path: Of a file of this machine, or a URL.
    """
    return DECODE(image_source(path))


def decode_to_tensor(path: str) -> Any:
    """The same as Beam's handler takes it."""
    import torch

    return torch.from_numpy(decode(path))
