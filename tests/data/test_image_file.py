"""A file that is no image is refused with a sentence that fits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasweep.data.image_file import open_image, read_depth
from kerasweep.errors import DataError


def _float(path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), np.float32)).save(path, "TIFF")


def _too_large(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path, "PNG")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (Path.mkdir, "{} is a folder, but needs to be an image file. Name a file in it."),
        (lambda path: None, "The image {} does not exist. Check the path."),
        (
            Path.touch,
            "{} cannot be read as an image. Save it again as PNG, JPEG, WEBP, TIFF, BMP or GIF, or leave it "
            "out.",
        ),
        (_too_large, "{} has more than 178,956,970 pixels. Save it smaller."),
        (
            _float,
            "{} has fractions as pixels, but an image needs whole numbers from 0 to 65535. Save it with 8 or "
            "16 bits a pixel.",
        ),
    ],
)
def test_refuses_with_a_sentence(tmp_path: Path, write: object, said: str) -> None:
    write(tmp_path / "a.png")  # type: ignore[operator]
    with pytest.raises(DataError) as refused:
        open_image(tmp_path / "a.png")
    assert str(refused.value) == said.format(tmp_path / "a.png")


def test_an_error_escapes_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        open_image(tmp_path / "caf\udce9.png")
    assert str(refused.value) == f"The image {tmp_path}/caf\\udce9.png does not exist. Check the path."


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((2, 2), 9, np.uint8), (True, 0)),
        (np.full((2, 2, 3), 9, np.uint8), (False, 0)),
        (np.array([[0, 4095]], np.uint16), (True, 4095)),
    ],
)
def test_the_depth_is_grayscale_and_the_largest_value(
    tmp_path: Path, pixels: np.ndarray, expected: tuple[bool, int]
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_depth(tmp_path / "a.png") == expected
