"""Makes what this example runs on, without network: photos in demo/photos and a model for them in demo/resnet.

The model is a small ResNet with random weights. Only its last layer is fitted, to parts of the two photos that come
with scikit-learn, which is enough to tell the one from the other.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.linear_model import LogisticRegression
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor
from transformers.utils import logging

from runinference import ImagePreprocessor

FOLDER = Path("demo")
LABELS = ("china", "flower")
FOR_TRAINING = 16
FOR_THE_RUN = 12


def main() -> None:
    """Writes both folders."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    random = np.random.default_rng(0)
    china, flower = map(Image.fromarray, load_sample_images().images)
    training = [part_of(photo, random) for photo in (china, flower) for _ in range(FOR_TRAINING)]
    save_model(fitted(training, np.repeat([0, 1], FOR_TRAINING)))
    save_photos({"china": china, "flower": flower}, random)


def part_of(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """A part of a photo, of any size and at any place."""
    width, height = random.integers(150, 400), random.integers(150, 400)
    left, top = random.integers(photo.width - width), random.integers(photo.height - height)
    return photo.crop((left, top, left + width, top + height))


def fitted(images: list[Image.Image], labels: np.ndarray) -> ResNetForImageClassification:
    """A ResNet whose last layer is fitted."""
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 64, 128],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = ResNetForImageClassification(config).eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(list(map(ImagePreprocessor(), images))))
        features = model.resnet(pixels).pooler_output.flatten(1)
    last = LogisticRegression(C=100.0, max_iter=1000).fit(features, labels)
    layer = model.classifier[-1]
    with torch.no_grad():
        # Of two classes scikit-learn keeps one row of weights: those of the second against the first.
        layer.weight.copy_(torch.from_numpy(np.vstack([-last.coef_, last.coef_]) / 2))
        layer.bias.copy_(torch.from_numpy(np.concatenate([-last.intercept_, last.intercept_]) / 2))
    return model


def save_model(model: ResNetForImageClassification) -> None:
    """Writes the model, and how images are prepared for it, as they are downloaded from the hub."""
    shutil.rmtree(FOLDER / "resnet", ignore_errors=True)
    model.save_pretrained(FOLDER / "resnet")
    scale = ImagePreprocessor()
    size = {"height": scale.size, "width": scale.size}
    ViTImageProcessor(size=size, image_mean=scale.mean, image_std=scale.std).save_pretrained(FOLDER / "resnet")


def save_photos(photos: dict[str, Image.Image], random: np.random.Generator) -> None:
    """Writes parts of the photos, named after what they show, and one file that is damaged."""
    folder = FOLDER / "photos"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for label, photo in photos.items():
        for number in range(FOR_THE_RUN // len(photos)):
            part_of(photo, random).save(folder / f"{label}-{number + 1}.jpg")
    whole = (folder / "flower-1.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])


if __name__ == "__main__":
    main()
