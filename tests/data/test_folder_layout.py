"""A folder's subfolders are classes or parts, and what is left out is said in one note."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.data.folder_layout import find_images, image_files
from kerasweep.errors import DataError

Save = Callable[..., None]


@pytest.fixture
def make(tmp_path: Path, save_image: Save) -> Callable[..., Path]:
    """Returns a function that saves two images of `ant` and `bee` in each of these folders."""

    def made(*parts: str) -> Path:
        for part in parts:
            for name in ("ant", "bee"):
                for number in range(2):
                    save_image(tmp_path / "photos" / part / name / f"{number}.png")
        return tmp_path / "photos"

    return made


@pytest.mark.parametrize(
    ("parts", "validation", "test"),
    [
        (("train", "validation", "test"), 4, 4),
        (("Train", "val"), 4, None),
        (("training", "valid"), 4, None),
        (("training_set", "test_set"), None, 4),
        (("seg_train", "seg_test"), None, 4),
        (("train-images", "Validation", "TESTING"), 4, 4),
        (("train",), None, None),
    ],
)
def test_known_subfolders_are_parts(
    make: Callable[..., Path], parts: tuple[str, ...], validation: int | None, test: int | None
) -> None:
    folder = find_images(make(*parts))
    assert folder.class_names == ["ant", "bee"]
    assert [label for _, label in folder.train] == [0, 0, 1, 1]
    sizes = [None if part is None else len(part) for part in (folder.validation, folder.test)]
    assert sizes == [validation, test]
    assert folder.left_out is None


def test_classes_may_have_names_of_parts(tmp_path: Path, save_image: Save) -> None:
    for name in ("train", "bus", "test"):
        for number in range(2):
            save_image(tmp_path / name / f"{number}.png")
    assert find_images(tmp_path).class_names == ["bus", "test", "train"]


def test_other_folders_beside_parts_are_left_out(make: Callable[..., Path], save_image: Save) -> None:
    root = make("seg_train", "seg_test")
    save_image(root / "seg_pred" / "1.png")
    left_out = find_images(root).left_out
    assert left_out == f"{root} has files that are left out: 1 other folder (seg_pred)."


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            ("fold1", "fold2", "fold3", "fold4"),
            "{root} holds fold1, fold2, fold3, …, which all hold the same subfolders (ant, bee). If those "
            "are the classes, name the folders above train, validation and test; else put the images of each "
            "class directly into its folder.",
        ),
        (
            ("val", "test"),
            "{root} holds test and val, but no training images. Add a folder train, with one subfolder per "
            "class.",
        ),
        (
            ("train", "val", "valid"),
            "{root} has 2 folders of validation images: val, valid. Join them, or move the others away.",
        ),
        (
            ("data/train", "data/test"),
            "{root} must hold one subfolder per class, two or more, but it holds 1. Sort the images into "
            "folders named after their classes. Perhaps data.path={root}/data?",
        ),
    ],
)
def test_unknown_layouts_are_refused(make: Callable[..., Path], parts: tuple[str, ...], said: str) -> None:
    root = make(*parts)
    with pytest.raises(DataError) as refused:
        find_images(root)
    assert str(refused.value) == said.format(root=root)


def test_what_is_left_out_is_one_note(make: Callable[..., Path], tmp_path: Path) -> None:
    root = make("")
    for number in range(5):
        (root / "ant" / f"{number}.heic").touch()
    (root / "loose.png").touch()
    (root / "bee" / "gone.png").symlink_to("nowhere")
    (tmp_path / "elsewhere").mkdir()
    (root / "bee" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "__MACOSX").mkdir()
    (root / ".hidden").touch()
    assert find_images(root).left_out == (
        f"{root} has files that are left out: 1 loose file (loose.png), "
        "5 .heic files (ant/0.heic, ant/1.heic, ant/2.heic, …), 1 broken link (bee/gone.png), "
        "1 linked folder (bee/linked)."
    )


def test_a_linked_class_is_read(make: Callable[..., Path], tmp_path: Path) -> None:
    root = make("")
    (root / "bee").rename(tmp_path / "elsewhere")
    (root / "bee").symlink_to(tmp_path / "elsewhere")
    assert len(find_images(root).train) == 4


@pytest.mark.parametrize("suffix", ["webp", "TIF", "tiff", "jfif", "JPG"])
def test_reads_many_formats(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").touch()
    assert image_files(tmp_path) == [tmp_path / f"a.{suffix}"]


def test_names_that_are_no_utf8_are_escaped_in_the_note(make: Callable[..., Path]) -> None:
    root = make("")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).touch()
    left_out = find_images(root).left_out
    assert left_out == f"{root} has files that are left out: 1 loose file (caf\\udce9.txt)."
