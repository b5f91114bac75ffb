"""Data sets of accepted forms become arrays, and others are refused."""

import numpy as np
import pytest

from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.errors import DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([0, 1])


def made(images: np.ndarray = IMAGES, labels: np.ndarray = LABELS, names: list[str] | None = None) -> Arrays:
    return make_arrays((images, labels), (IMAGES, LABELS), names, "mine")


def test_grayscale_gets_a_channel_and_columns_of_labels_become_flat() -> None:
    arrays = made(labels=np.array([[0], [1]], dtype=np.uint8))
    assert arrays.train_images.shape == (2, 3, 4, 1)
    assert arrays.input_shape == (3, 4, 1)
    assert (arrays.train_labels.dtype, arrays.train_labels.tolist()) == (np.int64, [0, 1])
    assert (arrays.class_names, arrays.num_classes) == (("0", "1"), 2)


def test_whole_numbers_of_any_type_are_pixels() -> None:
    arrays = made(IMAGES.astype(np.float64))
    assert arrays.train_images.dtype == np.uint8
    assert arrays.digest == made().digest


def test_digest_follows_pixels_labels_and_names() -> None:
    digests = {
        made().digest,
        made(IMAGES + np.uint8(1)).digest,
        made(labels=np.array([1, 0])).digest,
        made(names=["a", "b"]).digest,
    }
    assert len(digests) == 4
    assert all(len(digest) == 16 for digest in digests)
    assert made().digest == made().digest


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES / 255, "pixels as whole numbers in 0..255, but got float64. Multiply scaled images by 255"),
        (IMAGES.astype(np.int32) + 250, "whole numbers in 0..255, but got int32"),
        (IMAGES.astype(np.int32) - 1, "whole numbers in 0..255, but got int32"),
        (np.full((2, 3, 4), np.nan), "whole numbers in 0..255, but got float64"),
        (np.full((2, 3, 4), "a"), "whole numbers in 0..255, but got <U1"),
        (IMAGES.astype(complex), "whole numbers in 0..255, but got complex128"),
        (IMAGES > 3, "whole numbers in 0..255, but got bool"),
        (IMAGES[:, :, :0], "(n, height, width, channels), but got the shape (2, 3, 0, 1)"),
        (IMAGES.reshape(2, 12), "(n, height, width, channels), but got the shape (2, 12)"),
        (IMAGES[:1], "mine has 1 training images and 2 labels"),
        (IMAGES > 3, "but got bool. Save images.astype(numpy.uint8) * 255."),
        (
            np.full((2, 3, 4), np.nan),
            "but got float64 with NaN or infinite pixels. Correct these images, or leave them out.",
        ),
        (IMAGES * np.uint16(100), "but got uint16. Its pixels are 0 to 2300: divide by 16 and round down"),
        (IMAGES / 11.5 - 1, "Its pixels are -1 to 1: add 1, multiply by 127.5 and round them: kerasweep"),
        (IMAGES / 2 - 5, "but got float64. Its pixels are -5 to 6.5: undo their scaling: kerasweep scales"),
        (IMAGES / 2, "but got float64. Round them: kerasweep scales them itself (data.scaling)."),
        (
            np.zeros((2, 3, 8, 9), np.uint8),
            "but got the shape (2, 3, 8, 9), with the channels first. Transpose them with "
            "numpy.transpose(images, (0, 2, 3, 1)).",
        ),
        (IMAGES[:, :2], "training images (2, 4, 1) but test images (3, 4, 1)"),
    ],
)
def test_refuses_images_that_are_no_pixels(images: np.ndarray, said: str) -> None:
    with pytest.raises(DataError) as refused:
        made(images)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.eye(2), "labels as whole numbers (n,), but got float64 (2, 2). Turn one-hot rows"),
        (np.array([0.0, 1.0]), "float64 (2,). Turn them into whole numbers with labels.astype(int)."),
        (
            np.array([0.5, 1.0]),
            "float64 (2,). Fractions and NaN name no class: kerasweep trains classifiers.",
        ),
        (np.array([np.nan, 1.0]), "Fractions and NaN name no class"),
        (np.array([True, False]), "but got bool (2,). Turn them into 0 and 1 with labels.astype(int)."),
        (
            np.array(["cat", "dog"]),
            "but got <U3 (2,). Number the classes with class_names, labels = numpy.unique(labels, "
            "return_inverse=True).",
        ),
        (np.zeros((2, 2, 2), int), "but got int64 (2, 2, 2). Give each image one label."),
        (np.array([0, 2]), "mine has the label 2, but its 2 classes are numbered 0 to 1"),
        (np.array([-1, 0]), "mine has the label -1, but its 2 classes are numbered 0 to 1"),
    ],
)
def test_refuses_labels_outside_the_classes(labels: np.ndarray, said: str) -> None:
    with pytest.raises(DataError) as refused:
        made(labels=labels, names=["a", "b"])
    assert said in str(refused.value)


def test_classes_without_training_images_are_noted() -> None:
    assert made().notes == ()
    arrays = make_arrays(
        (IMAGES, LABELS * 3), (IMAGES, LABELS * 2), ["a", "b", "c", "d"], "mine", notes=["x"]
    )
    assert arrays.notes == (
        "x",
        "mine has no training images of the class c, so no network can learn them.",
        "mine has no images of the class b, which count as classes.",
    )
    many = make_arrays((IMAGES, LABELS * 9), (IMAGES, LABELS), list("abcdefghij"), "mine")
    assert many.notes[1] == "mine has no images of 7 classes: c, d, e, f, g, …, which count as classes."


@pytest.mark.parametrize("shape", [(2, 3, 4, 3), (2, 3, 3, 8), (2, 8, 8, 5), (2, 4, 4, 2)])
def test_any_number_of_channels_is_read(shape: tuple[int, ...]) -> None:
    images = np.zeros(shape, np.uint8)
    assert make_arrays((images, LABELS), (images, LABELS), None, "mine").input_shape == shape[1:]


def test_refuses_lists_of_different_lengths() -> None:
    ragged = ([[1, 2], [3]], [0, 1])
    with pytest.raises(
        DataError, match="mine must give training images of one size, but they are not an array"
    ):
        make_arrays(ragged, (IMAGES, LABELS), None, "mine")  # type: ignore[arg-type]


def test_refuses_identifiers_as_labels() -> None:
    """40 million classes would fill the memory before any other check."""
    with pytest.raises(DataError, match="mine has the label 40000000, but only 4 images: .* Renumber them"):
        made(labels=np.array([0, 40_000_000]))


def test_refuses_a_single_class() -> None:
    with pytest.raises(DataError, match="mine has 1 class, but a classifier needs two or more"):
        make_arrays((IMAGES, LABELS * 0), (IMAGES, LABELS * 0), None, "mine")


def test_refuses_an_empty_set() -> None:
    with pytest.raises(DataError, match="mine has 0 training images and 0 labels. It needs"):
        made(IMAGES[:0], LABELS[:0])
