"""JPEG files that are made of two real photos, always the same ones."""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from runinference.benchmarks.data.made import made_once
from runinference.cache import cache_folder
from runinference.metrics.machine import cores
from runinference.packages import require

# Change the name with what is made.
_FOLDER: Final = "photos-500x375-quality-90"
_SIDES: Final = (500, 375)
_QUALITY: Final = 90
# Fewer are made faster than processes start.
_ALONE: Final = 500
_AT_A_TIME: Final = 100


def photo_files(count: int) -> list[str]:
    """The paths of the first `count` of a series of photos; those that are not there yet are made.

    They take about 48 kB each. A file is the same whatever `count` is, so that a larger count adds to what is there.
    """
    folder = cache_folder() / "benchmarks" / _FOLDER
    there = set(os.listdir(folder)) if folder.is_dir() else set()
    names = [f"{index:07}.jpg" for index in range(count)]
    missing = [index for index, name in enumerate(names) if name not in there]
    if len(missing) <= _ALONE:
        _make_files(missing)
    else:
        parts = [missing[start : start + _AT_A_TIME] for start in range(0, len(missing), _AT_A_TIME)]
        context = multiprocessing.get_context("spawn")  # This process may have threads, which do not survive a fork.
        with ProcessPoolExecutor(cores(), mp_context=context) as pool:
            for _ in pool.map(_make_files, parts):
                pass
    return [str(folder / name) for name in names]


def make_photo(index: int) -> bytes:
    """One photo of the series, a JPEG of 500 × 375 pixels, some 10 % more or less, wide or high.

    It is a part of one of the photos that scikit-learn brings along, enlarged or reduced, perhaps mirrored, in other
    colours.
    """
    dice = random.Random(f"photo {index}")
    originals = _originals()
    photo = originals[index % len(originals)]
    width, height = _size(dice)
    across, down = photo.size
    share = (0.35 + 0.65 * dice.random()) * min(across / width, down / height)
    wide, high = share * width, share * height
    left, top = dice.random() * (across - wide), dice.random() * (down - high)
    pillow = require("PIL.Image", "images", "make photos")
    image = photo.resize((width, height), pillow.Resampling.BICUBIC, box=(left, top, left + wide, top + high))
    if dice.random() < 0.5:
        image = image.transpose(pillow.Transpose.FLIP_LEFT_RIGHT)
    content = io.BytesIO()
    image.point(_colours(dice)).save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def _size(dice: random.Random) -> tuple[int, int]:
    longer, shorter = (round(side * (0.9 + 0.2 * dice.random())) for side in _SIDES)
    return (longer, shorter) if dice.random() < 0.7 else (shorter, longer)


def _colours(dice: random.Random) -> list[int]:
    """What becomes of the 256 values of red, green and blue."""
    table = []
    for _ in range(3):
        contrast, brightness = 0.7 + 0.6 * dice.random(), -30 + 60 * dice.random()
        table += [min(max(round(value * contrast + brightness), 0), 255) for value in range(256)]
    return table


@functools.cache
def _originals() -> Sequence[Any]:
    datasets = require("sklearn.datasets", "sklearn", "make photos")
    pillow = require("PIL.Image", "images", "make photos")
    return [pillow.fromarray(pixels) for pixels in datasets.load_sample_images().images]


def _make_files(indices: Sequence[int]) -> None:
    for index in indices:
        made_once(f"{_FOLDER}/{index:07}.jpg", functools.partial(_write, index))


def _write(index: int, path: Path) -> None:
    path.write_bytes(make_photo(index))
