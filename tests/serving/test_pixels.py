"""Image files become the pixels that their user sees, in training and in a served model alike."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from kerasweep.serving.pixels import Conversion, UnsupportedDepthError, decode, find_divisor, to_pixels

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6)


def reopened(image: Image.Image, kind: str, orientation: int | None = None) -> Image.Image:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    return Image.open(file)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(kind: str, orientation: int) -> None:
    image = Image.fromarray(RAMP * 10)
    expected = ImageOps.exif_transpose(reopened(image, kind, orientation))
    assert np.array_equal(np.asarray(decode(reopened(image, kind, orientation))), np.asarray(expected))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_images_are_turned_upright(kind: str) -> None:
    upright = decode(reopened(Image.fromarray(RAMP.astype(np.uint16) * 256), kind, 6))
    assert np.array_equal(to_pixels(upright, 1, None)[0][..., 0], np.rot90(RAMP, -1))


def test_damaged_exif_leaves_an_image_as_it_is() -> None:
    file = io.BytesIO()
    Image.fromarray(RAMP).convert("RGB").save(file, "WEBP", lossless=True, exif=b"Exif\0\0no tiff at all")
    assert decode(Image.open(file)).size == (6, 4)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (RAMP / np.float32(9), "fractions as pixels"),
        (RAMP.astype(np.int32) - 5, "pixels from -5 to 18"),
        (RAMP.astype(np.int32) * 4000, "pixels from 0 to 92000"),
    ],
)
def test_values_beyond_sixteen_bits_are_refused(pixels: np.ndarray, said: str) -> None:
    with pytest.raises(UnsupportedDepthError, match=f"^{said}$"):
        decode(reopened(Image.fromarray(pixels.astype(np.float32 if "frac" in said else np.int32)), "TIFF"))


@pytest.mark.parametrize(
    ("largest", "divisor"), [(1, 1), (255, 1), (256, 2), (1023, 4), (4095, 16), (32768, 256), (65535, 256)]
)
def test_the_largest_value_becomes_at_most_255_and_at_least_half_of_it(largest: int, divisor: int) -> None:
    assert find_divisor(largest) == divisor
    assert largest // divisor <= 255 and (largest < 128 or largest // divisor >= 128)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_deep_values_are_divided_and_clipped(order: str) -> None:
    image = decode(reopened(Image.fromarray((RAMP.astype(np.uint16) * 200).astype(order)), "TIFF"))
    pixels, changes = to_pixels(image, 1, None, Conversion(divisor=16))
    assert np.array_equal(pixels[..., 0], np.minimum(RAMP.astype(int) * 200 // 16, 255))
    assert changes == ["16 bits a pixel to 8 (too bright ones to 255)"]


@pytest.mark.parametrize(
    ("resize", "rows"),
    [("stretch", [200] * 4), ("crop", [200] * 4), ("pad", [0, 200, 200, 0])],
)
def test_resize_keeps_the_aspect_ratio_or_not(resize: str, rows: list[int]) -> None:
    image = Image.new("L", (8, 4), 200)
    pixels, changes = to_pixels(image, 1, (4, 4), Conversion(resize))
    assert pixels.shape == (4, 4, 1) and pixels[:, 0, 0].tolist() == rows
    assert changes == ["4x8 to 4x4 pixels"]


def test_crop_takes_the_centre() -> None:
    image = Image.fromarray(np.repeat(np.arange(0, 80, 10, dtype=np.uint8)[None], 4, axis=0))
    assert to_pixels(image, 1, (4, 4), Conversion("crop"))[0][0, :, 0].tolist() == [20, 30, 40, 50]


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_line_of_pixels_is_resized(resize: str) -> None:
    assert to_pixels(Image.new("L", (3000, 1)), 1, (32, 32), Conversion(resize))[0].shape == (32, 32, 1)


def test_a_conversion_is_saved_beside_a_model_and_older_models_have_the_default(tmp_path: Path) -> None:
    assert Conversion.load(tmp_path) == Conversion("stretch", 256)
    Conversion("pad", 16).save(tmp_path)
    assert Conversion.load(tmp_path) == Conversion("pad", 16)


@pytest.mark.parametrize(("channels", "words"), [(1, "grayscale"), (3, "RGB")])
def test_a_lab_image_is_converted_to_either_number_of_channels(channels: int, words: str) -> None:
    pixels, changes = to_pixels(Image.new("LAB", (2, 2), (255, 128, 128)), channels, None)
    assert changes == [f"LAB to {words}"]
    assert pixels.shape == (2, 2, channels) and pixels.min() > 250  # white
