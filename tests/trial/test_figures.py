"""The figures show the data they are given."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from kerasweep.trial.figures import (
    confusion_figure,
    dataset_figure,
    image_grid,
    learning_curves,
    wrong_images,
)

HISTORY = [
    {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.2, "val_accuracy": 0.4},
    {"loss": 0.5, "accuracy": 0.8, "val_loss": 0.9, "val_accuracy": 0.7},
]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_each_image_stands_under_its_title(channels: int) -> None:
    images = np.arange(7 * 4 * 4 * channels, dtype=np.uint8).reshape(7, 4, 4, channels)
    figure = image_grid(images, [f"title {number}" for number in range(7)], "heading")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [f"title {number}" for number in range(7)]
    for drawn, title, image in zip(axes.images, axes.texts, images, strict=True):
        expected = image if channels == 3 else image.mean(axis=-1)
        np.testing.assert_array_equal(drawn.get_array(), expected)
        left, right, low, high = drawn.get_extent()
        middle, bottom = title.get_position()
        assert middle == pytest.approx((left + right) / 2) and high < bottom < high + 0.1
    assert figure.get_suptitle() == "heading"


def test_images_do_not_overlap_and_keep_their_proportions() -> None:
    figure = image_grid(np.zeros((6, 4, 8, 1), np.uint8), ["one\ntwo"] * 6)
    (axes,) = figure.axes
    boxes = [image.get_extent() for image in axes.images]
    assert all((right - left) / (high - low) == pytest.approx(2) for left, right, low, high in boxes)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(boxes[:5]))
    assert boxes[5][3] < boxes[0][2] and boxes[5][0] == boxes[0][0]
    assert axes.get_xlim() == pytest.approx((0, figure.get_figwidth()))
    assert axes.get_ylim() == pytest.approx((0, figure.get_figheight()))


def test_dataset_figure_names_classes_and_stops_at_25() -> None:
    labels = np.arange(30) % 3
    figure = dataset_figure(np.zeros((30, 4, 4, 1), np.uint8), labels, ["cat", "dog", "자동차"], "pets")
    titles = [text.get_text() for text in figure.axes[0].texts]
    assert titles[:3] == ["cat", "dog", "자동차"] and len(titles) == 25


def test_titles_of_long_class_names_do_not_overlap() -> None:
    names = ["American Staffordshire terrier", "soft-coated wheaten terrier"]
    images, labels = np.zeros((6, 4, 4, 1), np.uint8), np.arange(6) % 2
    figures = [
        dataset_figure(images, labels, names, "dogs"),
        wrong_images(images, labels, np.eye(2)[1 - labels], names, wrong=6, total=6),
    ]
    for figure in figures:
        boxes = [text.get_window_extent() for text in figure.axes[0].texts[:5]]
        assert all(before.x1 < after.x0 for before, after in itertools.pairwise(boxes))
        assert figure.axes[0].texts[0].get_text().startswith("American Staffordsh…")


def test_learning_curves_count_epochs_from_one_and_mark_the_best() -> None:
    figure = learning_curves(HISTORY, best_epoch=2)
    for axes, metric in zip(figure.axes, ("loss", "accuracy"), strict=True):
        curves = {line.get_label(): line for line in axes.lines}
        assert list(curves["training"].get_xdata()) == [1, 2]
        assert list(curves["training"].get_ydata()) == [epoch[metric] for epoch in HISTORY]
        assert list(curves["validation"].get_ydata()) == [epoch[f"val_{metric}"] for epoch in HISTORY]
        assert list(curves["best epoch (2)"].get_xdata()) == [2, 2]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", metric)


def test_confusion_figure_writes_counts_and_the_share_that_is_right() -> None:
    figure = confusion_figure(np.array([[8, 2], [1, 9]]), ["a", "b"], "test images")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["8", "2", "1", "9"]
    assert axes.get_title() == "20 test images, 85.0% right"
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.8, 0.2], [0.1, 0.9]])


def test_many_classes_are_drawn_without_numbers() -> None:
    figure = confusion_figure(np.eye(100, dtype=np.int64), [str(number) for number in range(100)], "images")
    assert not figure.axes[0].texts


def test_wrong_images_show_label_prediction_and_confidence() -> None:
    images, probabilities = np.zeros((2, 2, 2, 1), np.uint8), np.array([[0.1, 0.9], [0.8, 0.2]])
    figure = wrong_images(images, np.array([0, 1]), probabilities, ["cat", "dog"], wrong=7, total=90)
    assert figure.get_suptitle() == "Most confidently wrong of 7 (true → predicted)"
    titles = [text.get_text() for text in figure.axes[0].texts]
    assert titles == ["cat\n→ dog (90%)", "dog\n→ cat (80%)"]


def test_no_wrong_images_gives_a_sentence(tmp_path: Path) -> None:
    figure = wrong_images(np.zeros((0, 2, 2, 1), np.uint8), np.arange(0), np.eye(0), ["a", "b"], 0, 2)
    assert [text.get_text() for text in figure.texts] == ["None of 2 images was classified wrongly."]
    figure.savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as drawn:
        assert drawn.size == (600, 200)


def test_dollars_are_shown_as_text() -> None:
    """Names of classes and data sets may contain dollars."""
    names, images = [r"$\frac$", "US$5-US$10"], np.zeros((2, 4, 4, 1), np.uint8)
    labels = np.array([0, 1])
    for figure in (
        dataset_figure(images, labels, names, "$5$"),
        confusion_figure(np.eye(2, dtype=np.int64), names, "images"),
        wrong_images(images, labels, np.eye(2)[::-1], names, wrong=2, total=2),
    ):
        figure.canvas.draw()
        texts = [text for text in figure.findobj(Text) if "$" in text.get_text()]
        assert texts and not any(text.get_parse_math() for text in texts)
