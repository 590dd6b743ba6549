"""Images of every kind, decoded and made into what a vision model takes."""

import io
import pickle
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from runinference.errors import ConfigurationError
from runinference.handlers.images import IMAGENET_MEAN, IMAGENET_STD, ImagePreprocessor, decode_image

LEVEL = 1 / (255 * min(IMAGENET_STD))  # one step of 255, normalised


@pytest.fixture(scope="module")
def photos():
    """Two photos of 640 × 427 pixels."""
    return [Image.fromarray(photo) for photo in load_sample_images().images]


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def resized_then_cropped(image, size=224, resize=256, how=Image.Resampling.BILINEAR):
    """What torchvision's Resize, CenterCrop, ToTensor and Normalize do, step by step on whole images."""
    width, height = image.size
    wide, high = (resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize)
    left, top = (wide - size) // 2, (high - size) // 2
    cropped = image.resize((wide, high), how).crop((left, top, left + size, top + size))
    scaled = np.asarray(cropped, np.float64) / 255
    return ((scaled - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)


def huge_png(width, height):
    """A PNG that declares many pixels and holds none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts
    )


def test_bytes_paths_images_and_arrays_are_one_image(photos, tmp_path):
    pixels = np.asarray(photos[0])
    content = encoded(photos[0], "PNG")
    (tmp_path / "a.png").write_bytes(content)
    forms = [content, bytearray(content), memoryview(content), str(tmp_path / "a.png"), tmp_path / "a.png"]
    for data in [*forms, photos[0], pixels]:
        image = decode_image(data)
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once_and_to_a_copy(photos, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.open(io.BytesIO(encoded(photos[0], "PNG", exif=exif)))
    expected = np.asarray(ImageOps.exif_transpose(stored))
    size = stored.size
    for data in (encoded(photos[0], "PNG", exif=exif), stored):
        image = decode_image(data)
        np.testing.assert_array_equal(np.asarray(image), expected)
        np.testing.assert_array_equal(np.asarray(decode_image(image)), expected)
    assert stored.size == size
    assert (image.size != size) == (orientation > 4)


def test_a_damaged_orientation_is_none(photos):
    content = encoded(photos[0], "JPEG", exif=b"Exif\0\0no such thing")
    assert decode_image(content).size == (640, 427)


def test_grey_palette_cmyk_and_transparent_images_become_rgb(photos):
    photo = photos[0].resize((64, 43))
    grey = np.asarray(photo.convert("L"))
    np.testing.assert_array_equal(
        np.asarray(decode_image(encoded(photo.convert("L"), "PNG"))), grey[..., None].repeat(3, 2)
    )
    np.testing.assert_array_equal(np.asarray(decode_image(grey)), grey[..., None].repeat(3, 2))
    np.testing.assert_array_equal(np.asarray(decode_image(grey[..., None])), grey[..., None].repeat(3, 2))
    transparent = photo.copy()
    transparent.putalpha(0)
    np.testing.assert_array_equal(np.asarray(decode_image(encoded(transparent, "PNG"))), np.asarray(photo))
    np.testing.assert_array_equal(np.asarray(decode_image(np.asarray(transparent))), np.asarray(photo))
    cmyk = decode_image(encoded(photo.convert("CMYK"), "JPEG", quality=100, subsampling=0))
    assert np.abs(np.asarray(cmyk).astype(int) - np.asarray(photo)).mean() < 3
    black_and_white = decode_image(encoded(photo.convert("1"), "PNG"))
    assert set(np.unique(np.asarray(black_and_white))) == {0, 255}


def test_a_palette_with_transparency_is_read_without_a_warning():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    content = encoded(image, "PNG", transparency=b"\x00\x80")
    assert decode_image(content).getpixel((0, 0)) == (0, 255, 0)


def test_16_bits_are_scaled_and_not_cut_off():
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], np.uint16)
    image = decode_image(encoded(Image.fromarray(values), "PNG"))
    assert np.asarray(image)[..., 0].tolist() == [[0, 0, 1], [128, 254, 255]]


@pytest.mark.parametrize(("mode", "what"), [("I", "32-bit integers"), ("F", "floats")])
def test_numbers_without_a_range_are_refused(mode, what):
    content = encoded(Image.new(mode, (4, 4)), "TIFF")
    with pytest.raises(ValueError, match=f"An image of {what} has no known range; scale it to uint8 first"):
        decode_image(content)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF", "PNG"])
def test_other_formats_and_the_first_picture_of_several(kind):
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    several = {"save_all": True, "append_images": pictures[1:]} if kind != "BMP" else {}
    content = encoded(pictures[0], kind, **several, **({"lossless": True} if kind == "WEBP" else {}))
    assert decode_image(content).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("decode", [decode_image, ImagePreprocessor()], ids=["decode_image", "ImagePreprocessor"])
def test_a_file_that_is_cut_short_says_so(photos, kind, decode):
    content = encoded(photos[0], kind)
    with pytest.raises(ValueError, match=r"The image .*is damaged or cut short: |Not an image that Pillow can read"):
        decode(content[: len(content) // 2])
    if kind in ("JPEG", "PNG"):
        with pytest.raises(
            ValueError, match=rf"The image \({kind}, 640 × 427 pixels\) is damaged or cut short: .*trunc"
        ):
            decode(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"The image is empty \(0 bytes\)"),
        (b"not an image at all", r"Not an image that Pillow can read: 19 bytes that begin with b'not an image'"),
        (b"<svg xmlns=''/>", 'Not an image that Pillow can read: 15 bytes that begin with b"<svg'),
        (b"\xff\xd8\xff\xe0", "Not an image|damaged or cut short"),
        (huge_png(10_000, 10_000), r"too large.*(100000000|10,000 × 10,000 pixels)"),
        (huge_png(60_000, 60_000), r"The image is too large: Image size \(3600000000 pixels\)"),
    ],
)
def test_what_is_not_an_image_is_said(tmp_path, content, message):
    (tmp_path / "x.jpg").write_bytes(content)
    for data in (content, tmp_path / "x.jpg"):
        with pytest.raises(ValueError, match=message):
            decode_image(data)


def test_an_image_above_the_limit_is_refused_where_pillow_only_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(ValueError, match=r"too large \(PNG, 10,000 × 10,000 pixels\): PIL.Image.MAX_IMAGE_PIXELS"):
            decode_image(huge_png(10_000, 10_000))


def test_a_file_that_is_not_there_and_objects_of_other_kinds(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        decode_image(tmp_path / "none.jpg")
    with pytest.raises(TypeError, match="must be bytes, a path, a Pillow image or an array, got dict"):
        decode_image({"bytes": b""})


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((4, 4, 2), "uint8"), ((4,), "uint8"), ((0, 4, 3), "uint8"), ((4, 4, 3), "float32"), ((3, 224, 224), "uint8")],
)
def test_an_array_of_another_kind_is_refused(shape, kind):
    with pytest.raises(ValueError, match=rf"must hold uint8 of shape .*, got {kind} of shape \({shape[0]}"):
        decode_image(np.zeros(shape, kind))


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(640, 427), (427, 640), (300, 301), (100, 60), (2560, 1708)])
def test_the_array_is_that_of_resize_crop_and_normalise(photos, how, size):
    for photo in photos:
        image = photo.resize(size, Image.Resampling.BICUBIC)
        pixels = ImagePreprocessor(resample=how)(image)
        expected = resized_then_cropped(image, how=Image.Resampling[how.upper()])
        assert (pixels.shape, pixels.dtype, pixels.flags.c_contiguous) == ((3, 224, 224), np.float32, True)
        # The two passes of a resize round their values, so that sharp edges differ by a few levels.
        assert np.abs(pixels - expected).max() <= 6 * LEVEL
        assert np.abs(pixels - expected).mean() < 0.3 * LEVEL


def test_a_large_jpeg_that_is_decoded_smaller_looks_the_same(photos):
    for size in [(1280, 854), (2560, 1708), (3840, 2562), (5120, 3416), (2048, 1365), (2559, 1708)]:
        large = photos[0].resize(size, Image.Resampling.BICUBIC)
        content = encoded(large, "JPEG", quality=90)
        pixels = ImagePreprocessor()(content)
        expected = resized_then_cropped(Image.open(io.BytesIO(content)))
        assert np.abs(pixels - expected).max() <= 4 * LEVEL
        assert np.abs(pixels - expected).mean() < 0.5 * LEVEL


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(photos, monkeypatch):
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, *args, **kw: sizes.append(self.size) or resize(self, *args, **kw)
    )
    large, odd = (encoded(photos[0].resize(size), "JPEG") for size in [(4096, 2728), (4095, 2728)])
    sizes.clear()
    for options in ({}, {"size": 384, "resize": 512}, {"size": 300, "resize": None}, {"size": 96, "resize": 128}):
        ImagePreprocessor(**options)(large)
    ImagePreprocessor()(odd)
    # Never below twice the shorter side that is asked for, and never at a fraction that cuts a pixel.
    assert sizes == [(1024, 682), (2048, 1364), (1024, 682), (512, 341), (4095, 2728)]


def test_without_resize_the_whole_image_is_squeezed(photos):
    pixels = ImagePreprocessor(size=96, resize=None, mean=(0, 0, 0), std=(1, 1, 1))(photos[0])
    expected = np.asarray(photos[0].resize((96, 96), Image.Resampling.BILINEAR)).transpose(2, 0, 1) / 255
    assert np.abs(pixels - expected).max() <= 6 / 255
    assert np.abs(pixels - expected).mean() <= 0.4 / 255


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (223, 225), (257, 256), (256, 256)])
def test_the_size_of_the_image_does_not_matter(size):
    pixels = ImagePreprocessor()(Image.new("RGB", size, (124, 116, 104)))
    assert pixels.shape == (3, 224, 224)
    assert np.abs(pixels).max() < 0.02


def test_the_values_of_each_channel_are_normalised():
    pixels = ImagePreprocessor(size=2, resize=None, mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.1])(
        Image.new("RGB", (9, 9), (255, 0, 51))
    )
    np.testing.assert_allclose(pixels[:, 0, 0], [1, -2, -1], rtol=1e-5)


def test_it_is_a_value_that_can_be_pickled_compared_and_shared_between_threads(photos):
    prepare = ImagePreprocessor(size=64, resize=80, mean=list(IMAGENET_MEAN))
    again = pickle.loads(pickle.dumps(prepare))
    assert again == prepare
    assert hash(again) == hash(prepare)
    content = [encoded(photo, "JPEG") for photo in photos]
    one_by_one = [prepare(each) for each in content * 20]
    with ThreadPoolExecutor(4) as pool:
        for pixels, expected in zip(pool.map(again, content * 20), one_by_one, strict=True):
            np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be a number of pixels of at least 1, got 0"),
        ({"size": 224.0}, "size must be a number of pixels"),
        ({"size": 224, "resize": 200}, "resize must be a number of pixels of at least size=224.* got 200"),
        ({"resample": "bicubik"}, "resample must be one of nearest, .* Did you mean 'bicubic'?"),
        ({"resample": 3}, "resample must be one of nearest, .* got 3"),
        ({"mean": 0.5}, "mean must be three numbers, one for each channel, got 0.5"),
        ({"std": (0.2, 0.2)}, "std must be three numbers"),
        ({"std": (0.2, 0.2, 0)}, "std must be above 0"),
        ({"mean": (0.2, 0.2, float("nan"))}, "mean must be finite"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        ImagePreprocessor(**arguments)


def test_transformers_makes_the_same_array_for_resnet_50(photos):
    # The parameters are those of the preprocessor_config.json of microsoft/resnet-50.
    module = pytest.importorskip("transformers.models.convnext.image_processing_pil_convnext")
    theirs = module.ConvNextImageProcessorPil(
        size={"shortest_edge": 224}, crop_pct=0.875, resample=3, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD
    )
    ours = ImagePreprocessor(resample="bicubic")
    for photo in (*photos, photos[0].transpose(Image.Transpose.ROTATE_90)):
        expected = theirs(photo, return_tensors="np")["pixel_values"][0]
        difference = np.abs(ours(photo) - expected)
        assert difference.max() <= 5 * LEVEL
        assert difference.mean() < 0.2 * LEVEL


def test_pillow_is_imported_when_it_is_needed():
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from runinference.handlers.images import ImagePreprocessor\n"
        "prepare = ImagePreprocessor()\n"
        "try: prepare(b'x')\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingDependencyError PIL is needed to decode images. Install it: pip install")
    assert 'runinference[images]"' in done.stdout
