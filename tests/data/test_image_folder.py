"""Folders of images become arrays of the right order, channels and size; bad folders are refused."""

import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasweep.config.data import DataConf
from kerasweep.data.image_folder import load_image_folder
from kerasweep.errors import DataError

Save = Callable[..., None]


def conf(path: Path, image_size: list[int] | None = None) -> DataConf:
    return DataConf(source="image_folder", path=str(path), image_size=image_size)


def test_classes_are_sorted_and_each_gives_its_share_to_the_test_set(two_classes: Path) -> None:
    arrays = load_image_folder(conf(two_classes))
    assert arrays.class_names == ("ant", "cat")
    assert arrays.train_images.shape == (8, 4, 6, 1)
    assert sorted(arrays.test_labels.tolist()) == [0, 1]
    for images, labels in (
        (arrays.train_images, arrays.train_labels),
        (arrays.test_images, arrays.test_labels),
    ):
        assert np.array_equal(images[:, 0, 0, 0] >= 100, labels == 0)
    assert load_image_folder(conf(two_classes)).digest == arrays.digest


def test_honours_train_and_test_folders(tmp_path: Path, save_image: Save) -> None:
    for part, first in (("train", 0), ("test", 10)):
        for number, name in enumerate(("b", "a")):
            save_image(tmp_path / part / name / "1.png", value=first + number)
    arrays = load_image_folder(conf(tmp_path))
    assert arrays.train_images[:, 0, 0, 0].tolist() == [1, 0]
    assert arrays.test_images[:, 0, 0, 0].tolist() == [11, 10]


@pytest.mark.parametrize(
    ("mode", "name", "channels"),
    [("L", "new.png", 1), ("1", "new.png", 1), ("RGB", "new.png", 3), ("RGBA", "new.png", 3)],
)
def test_one_colour_image_makes_three_channels(
    two_classes: Path, save_image: Save, mode: str, name: str, channels: int
) -> None:
    save_image(two_classes / "cat" / name, mode=mode)
    assert load_image_folder(conf(two_classes)).input_shape == (4, 6, channels)


def test_sixteen_bits_a_pixel_become_eight(two_classes: Path, save_image: Save) -> None:
    save_image(two_classes / "ant" / "deep.png", mode="I;16", value=200 * 256)
    arrays = load_image_folder(conf(two_classes))
    assert 200 in np.concatenate([arrays.train_images, arrays.test_images])


@pytest.mark.parametrize(("bits", "kept"), [(8, 200), (10, 50), (12, 12), (16, 0)])
def test_deep_files_are_divided_by_the_range_of_the_data_set(
    two_classes: Path, save_image: Save, bits: int, kept: int
) -> None:
    save_image(two_classes / "ant" / "dark.png", mode="I;16", value=200)
    save_image(two_classes / "ant" / "bright.png", mode="I;16", value=2**bits - 1)
    arrays = load_image_folder(conf(two_classes))
    images = np.concatenate([arrays.train_images, arrays.test_images])
    assert arrays.conversion.divisor == 2 ** (bits - 8)
    assert kept in images and 255 in images


def test_a_validation_folder_is_the_validation_part(two_classes: Path, save_image: Save) -> None:
    (two_classes / "train").mkdir()
    for label, name in enumerate(("ant", "cat")):
        (two_classes / name).rename(two_classes / "train" / name)
        for number in range(3):
            save_image(two_classes / "val" / name / f"{number}.png", value=200 + 10 * label + number)
    arrays = load_image_folder(conf(two_classes))
    assert arrays.validation is not None
    assert arrays.validation[0][:, 0, 0, 0].tolist() == [200, 201, 202, 210, 211, 212]
    assert arrays.validation[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (8, 2)


def test_corrupt_files_are_listed_at_once_or_skipped(two_classes: Path) -> None:
    content = (two_classes / "cat" / "0.png").read_bytes()
    (two_classes / "cat" / "cut.png").write_bytes(content[: len(content) // 2])
    (two_classes / "ant" / "bad.jpg").write_bytes(b"no image")
    cfg = conf(two_classes)
    with pytest.raises(DataError) as refused:
        load_image_folder(cfg)
    assert str(refused.value) == (
        f"2 of 12 files of {two_classes} cannot be read as images: ant/bad.jpg, cat/cut.png. The first: "
        f"{two_classes}/ant/bad.jpg cannot be read as an image. Save it again as PNG, JPEG, WEBP, TIFF, BMP "
        "or GIF, or leave it out. To train without them, set data.skip_corrupt=true."
    )
    cfg.skip_corrupt = True
    skipped = load_image_folder(cfg)
    assert skipped.notes == (
        f"data.skip_corrupt left out 2 of 12 files of {two_classes}: ant/bad.jpg, cat/cut.png.",
    )
    for name in ("cat/cut.png", "ant/bad.jpg"):
        (two_classes / name).unlink()
    cfg.skip_corrupt = False
    assert load_image_folder(cfg).digest == skipped.digest


def test_odd_exif_data_leaves_threads_silent_and_the_filters_as_they_were(two_classes: Path) -> None:
    for number in range(40):
        image = Image.new("L", (6, 4), number)
        image.save(two_classes / "cat" / f"odd{number}.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(two_classes / "cat" / "odd0.jpg") as odd:
        odd.getexif()
    before = list(warnings.filters)
    arrays = load_image_folder(conf(two_classes))
    assert len(arrays.train_labels) + len(arrays.test_labels) == 50
    assert warnings.filters == before


def test_an_error_ends_the_reading(two_classes: Path, save_image: Save) -> None:
    """Files after the first of another size are not decoded."""
    (two_classes / "cat" / "0.png").unlink()
    save_image(two_classes / "ant" / "00.png", height=5)
    for number in range(500):
        save_image(two_classes / "cat" / f"{number}.png")
    before = threading.active_count()
    with pytest.raises(DataError, match=r"ant/00.png has 5x6\."):
        load_image_folder(conf(two_classes))
    assert threading.active_count() == before


def test_a_class_without_a_readable_image_is_named(two_classes: Path) -> None:
    for path in (two_classes / "cat").iterdir():
        path.write_bytes(b"no image")
    cfg = conf(two_classes)
    cfg.skip_corrupt = True
    with pytest.raises(DataError, match="^The class cat has no readable image, but the training"):
        load_image_folder(cfg)


@pytest.mark.parametrize(("part", "folder"), [("test", "test"), ("validation", "val")])
def test_a_part_without_a_readable_image_is_named(
    two_classes: Path, save_image: Save, part: str, folder: str
) -> None:
    (two_classes / "train").mkdir()
    for name in ("ant", "cat"):
        (two_classes / name).rename(two_classes / "train" / name)
        for number in range(2):
            save_image(two_classes / folder / name / f"{number}.png")
            (two_classes / folder / name / f"{number}.png").write_bytes(b"no image")
    cfg = conf(two_classes)
    cfg.skip_corrupt = True
    with pytest.raises(DataError) as refused:
        load_image_folder(cfg)
    assert str(refused.value) == (
        f"All 4 {part} images of {two_classes} are unreadable. Restore the files, or remove this folder to "
        "divide the images at random."
    )


def test_names_that_are_no_utf8_are_escaped(two_classes: Path) -> None:
    (two_classes / "cat").rename(two_classes / "caf\udce9")
    (two_classes / "ant" / "0.png").rename(two_classes / "ant" / "\udce9.png")
    assert load_image_folder(conf(two_classes)).class_names == ("ant", "caf\\udce9")


def test_transparency_is_white_as_in_prediction(two_classes: Path) -> None:
    Image.new("RGBA", (6, 4), (9, 9, 9, 0)).save(two_classes / "cat" / "clear.png")
    arrays = load_image_folder(conf(two_classes))
    images = np.concatenate([arrays.train_images, arrays.test_images])
    assert (images == 255).all(axis=(1, 2, 3)).sum() == 1


def test_resizes_to_height_and_width(two_classes: Path, save_image: Save) -> None:
    save_image(two_classes / "cat" / "large.jpg", height=20, width=30)
    assert load_image_folder(conf(two_classes, [8, 9])).input_shape == (8, 9, 1)


def test_hidden_files_are_no_images(two_classes: Path) -> None:
    (two_classes / "cat" / "._0.png").write_bytes(b"what macOS leaves behind")
    (two_classes / ".git").mkdir()
    assert len(load_image_folder(conf(two_classes)).train_labels) == 8


def _mixed(root: Path, save: Save) -> None:
    save(root / "cat" / "9.png", height=5)


def _empty(root: Path, save: Save) -> None:
    (root / "bee").mkdir()


def _unreadable(root: Path, save: Save) -> None:
    (root / "cat" / "9.png").write_bytes(b"\x89PNG")


def _cut(root: Path, save: Save) -> None:
    content = (root / "cat" / "0.png").read_bytes()
    (root / "cat" / "0.png").write_bytes(content[: len(content) // 2])


def _single_image(root: Path, save: Save) -> None:
    save(root / "bee" / "1.png")


def _unknown(root: Path, save: Save) -> None:
    (root / "train").mkdir()
    for name in ("ant", "cat"):
        (root / name).rename(root / "train" / name)
    for name in ("ant", "bee", "cat"):
        save(root / "test" / name / "1.png")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_mixed, "has 4x6 pixels and {root}/cat/9.png has 5x6. Resize them, or set data.image_size"),
        (
            _empty,
            "The class bee has no images in {root}/bee (.bmp, .gif, .jfif, .jpeg, .jpg, .png, .tif, .tiff, "
            ".webp)",
        ),
        (_unreadable, "{root}/cat/9.png cannot be read as an image"),
        (_cut, "{root}/cat/0.png cannot be read as an image"),
        (_single_image, "The class bee has a single image, but the training and the test set need one each"),
        (_unknown, "{root}/test has the class bee, which the training set lacks"),
    ],
)
def test_refuses_with_a_sentence(
    two_classes: Path, save_image: Save, spoil: Callable[[Path, Save], None], said: str
) -> None:
    spoil(two_classes, save_image)
    with pytest.raises(DataError) as refused:
        load_image_folder(conf(two_classes))
    assert said.format(root=two_classes) in str(refused.value)


def test_refuses_a_single_class_and_a_file(two_classes: Path) -> None:
    with pytest.raises(DataError, match="must hold one subfolder per class, two or more, but it holds 0"):
        load_image_folder(conf(two_classes / "cat"))
    (two_classes / "ant").rename(two_classes.parent / "ant")
    with pytest.raises(DataError, match="two or more, but it holds 1"):
        load_image_folder(conf(two_classes))
    with pytest.raises(DataError, match="must be a folder with one subfolder per class"):
        load_image_folder(conf(two_classes / "cat" / "0.png"))
