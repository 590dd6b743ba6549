"""Images as the arrays that vision models take: decoded, turned upright, resized, cropped and normalised."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from runinference.errors import ConfigurationError, RowError, closest
from runinference.packages import require

if TYPE_CHECKING:
    from PIL.Image import Image

ImageLike: TypeAlias = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", "Image", np.ndarray[Any, Any]]
"""A file's bytes, its path, a Pillow image, or an array of uint8 of shape (height, width) or (height, width, 1|3|4)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_RESAMPLING = ("nearest", "bilinear", "bicubic", "lanczos")
_ORIENTATION = 0x0112  # the EXIF tag
# A JPEG that is much too large is decoded at a half, a quarter or an eighth of its size, but never below twice the
# size that is needed, and other images are first shrunk to three times it: sharp edges differ by a few levels of 255.
_DRAFT_MARGIN = 2
_REDUCING_GAP = 3.0


def decode_image(data: ImageLike) -> Image:
    """An image of any kind as an upright Pillow image in RGB.

    The orientation in the EXIF data is applied. Grey, palette and CMYK images are converted, 16 bits per channel
    become 8, transparency is dropped, and of an animation only the first picture is taken.

    ```python
    image = decode_image(pathlib.Path("cat.jpg").read_bytes())
    ```

    Args:
        data: The bytes of a file, its path, a Pillow image, or an array of uint8 of shape (height, width) or
            (height, width, channels) with 1, 3 or 4 channels. Nothing that is passed in is changed.

    Raises:
        ValueError: It is not an image, it is damaged or cut short, or it has more pixels than Pillow's
            `Image.MAX_IMAGE_PIXELS`.
        TypeError: It is an object of another kind.
        OSError: There is no file at the path, or it cannot be read.
        MissingDependencyError: Pillow is not installed.
    """
    return _decode(data, shortest=None)


@dataclass(frozen=True)
class ImagePreprocessor:
    """Turns an image into the array that an ImageNet model takes: float32 of shape (3, size, size).

    The shorter side is resized to `resize`, the centre is cropped to `size` by `size`, values are scaled to 0..1 and
    normalised channel by channel. The defaults are those of models trained on ImageNet, such as torchvision's.

    ```python
    handler = PytorchModelHandlerTensor(…).with_preprocess_fn(ImagePreprocessor())
    ```

    Args:
        size: Side of the result in pixels.
        resize: The shorter side before the crop in pixels; `None` squeezes the whole image to `size` by `size`.
        mean: What is subtracted from red, green and blue, on the scale 0..1.
        std: What they are divided by afterwards.
        resample: `nearest`, `bilinear`, `bicubic` or `lanczos`.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    size: int = 224
    resize: int | None = 256
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    resample: str = "bilinear"

    def __post_init__(self) -> None:
        if not _is_whole(self.size) or self.size < 1:
            raise ConfigurationError(f"size must be a number of pixels of at least 1, got {self.size!r}")
        if self.resize is not None and (not _is_whole(self.resize) or self.resize < self.size):
            raise ConfigurationError(
                f"resize must be a number of pixels of at least size={self.size}, so that there is something to crop, "
                f"or None; got {self.resize!r}"
            )
        if self.resample not in _RESAMPLING:
            hint = closest(str(self.resample), _RESAMPLING)
            raise ConfigurationError(f"resample must be one of {', '.join(_RESAMPLING)}, got {self.resample!r}.{hint}")
        # Tuples of floats, so that two preprocessors of the same values are equal and can be keys of a dict.
        object.__setattr__(self, "mean", _channels("mean", self.mean))
        object.__setattr__(self, "std", _channels("std", self.std))
        if min(self.std) <= 0:
            raise ConfigurationError(f"std must be above 0 for every channel, got {self.std!r}")

    def __call__(self, data: ImageLike) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The array for one image.

        Args:
            data: Anything that [decode_image][runinference.handlers.images.decode_image] takes.

        Returns:
            Normalised red, green and blue: float32 of shape (3, size, size).

        Raises:
            RowError: It is not an image that can be decoded.
            TypeError: It is an object of another kind.
        """
        image = self._resized(_decode(data, shortest=self.resize or self.size))
        pixels = np.asarray(image).transpose(2, 0, 1).astype(np.float32, order="C")
        for channel, mean, std in zip(pixels, self.mean, self.std, strict=True):
            channel -= 255 * mean
            channel *= 1 / (255 * std)
        return pixels

    def _resized(self, image: Image) -> Image:
        width, height = image.size
        if self.resize is None:
            box = (0.0, 0.0, float(width), float(height))
        else:
            shorter = min(width, height)
            # Whole pixels, cut off as torchvision and transformers do.
            wide, high = self.resize * width // shorter, self.resize * height // shorter
            left, top = (wide - self.size) // 2, (high - self.size) // 2
            # The part of the original that the crop shows: what would be cropped off is not resized first.
            across, down = width / wide, height / high
            box = (left * across, top * down, (left + self.size) * across, (top + self.size) * down)
        how = _pillow().Resampling[self.resample.upper()]
        return image.resize((self.size, self.size), how, box=box, reducing_gap=_REDUCING_GAP)


def _decode(data: ImageLike, shortest: int | None) -> Image:
    """As `decode_image`; with `shortest`, the shorter side need not have more pixels than a few times that."""
    pillow = _pillow()
    if isinstance(data, np.ndarray):
        return _to_rgb(_from_array(data))
    if isinstance(data, pillow.Image):
        return _to_rgb(_upright(data))
    if isinstance(data, (bytes, bytearray, memoryview)):
        return _decode_file(io.BytesIO(data), shortest)
    if isinstance(data, (str, os.PathLike)):
        with open(data, "rb") as file:
            return _decode_file(file, shortest)
    raise TypeError(f"An image must be bytes, a path, a Pillow image or an array, got {type(data).__name__}")


def _decode_file(file: Any, shortest: int | None) -> Image:
    pillow = _pillow()
    try:
        image: Image = pillow.open(file)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise RowError(f"The image is too large: {error}") from error
    except pillow.UnidentifiedImageError as error:
        file.seek(0)
        content = file.read()
        if not content:
            raise RowError("The image is empty (0 bytes)") from None
        raise RowError(
            f"Not an image that Pillow can read: {len(content):,} bytes that begin with {content[:12]!r}"
        ) from error
    except Exception as error:
        raise RowError(f"The image is damaged or cut short: {error}") from error
    with image:
        what = f"{image.format}, {image.width:,} × {image.height:,} pixels"
        most = pillow.MAX_IMAGE_PIXELS
        # Pillow itself refuses only twice as many, and warns below that.
        if most is not None and image.width * image.height > most:
            raise RowError(f"The image is too large ({what}): PIL.Image.MAX_IMAGE_PIXELS allows {most:,} pixels")
        try:
            if shortest is not None:
                _decode_smaller(image, shortest * _DRAFT_MARGIN)
            image.load()
        except MemoryError:
            raise
        except Exception as error:  # Decoders raise OSError, SyntaxError, struct.error, zlib.error and others.
            raise RowError(f"The image ({what}) is damaged or cut short: {error}") from error
        return _to_rgb(_upright(image))


def _decode_smaller(image: Image, shortest: int) -> None:
    """Has a JPEG decoded at a fraction of its size that leaves its shorter side at least `shortest` pixels."""
    width, height = image.size
    for part in (8, 4, 2):
        # A side that is no multiple would end with part of a pixel, which shifts all the others.
        if min(width, height) >= part * shortest and width % part == 0 and height % part == 0:
            image.draft(None, (width // part, height // part))
            return


def _upright(image: Image) -> Image:
    if image.getexif().get(_ORIENTATION, 1) == 1:
        return image
    return require("PIL.ImageOps", "images", "decode images").exif_transpose(image)


def _to_rgb(image: Image) -> Image:
    mode = image.mode
    if mode == "RGB":
        return image
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):
        # Pillow would cut all values above 255 off.
        image = _pillow().fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif mode in ("I", "F"):
        raise RowError(
            f"An image of {'32-bit integers' if mode == 'I' else 'floats'} has no known range; scale it to uint8 first"
        )
    elif mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # The same colours, without a warning.
    return image.convert("RGB")


def _from_array(pixels: np.ndarray[Any, Any]) -> Image:
    shape = pixels.shape
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and shape[2] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not fits or pixels.size == 0:
        raise RowError(
            "An array that is an image must hold uint8 of shape (height, width) or (height, width, channels) with "
            f"1, 3 or 4 channels, got {pixels.dtype} of shape {shape}"
        )
    image: Image = _pillow().fromarray(pixels[:, :, 0] if pixels.ndim == 3 and shape[2] == 1 else pixels)
    return image


def _channels(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    try:
        red, green, blue = map(float, values)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} must be three numbers, one for each channel, got {values!r}") from None
    if not all(map(math.isfinite, (red, green, blue))):
        raise ConfigurationError(f"{name} must be finite numbers, got {values!r}")
    return red, green, blue


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _pillow() -> Any:
    return require("PIL.Image", "images", "decode images")
