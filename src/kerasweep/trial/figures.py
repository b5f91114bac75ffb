"""Draws the figures of a run: titled images, learning curves, confusion matrix, wrongly classified images."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLUMNS = 5
IMAGE_INCHES, GAP_INCHES, TITLE_INCHES = 1.55, 0.15, 0.16
MAX_NUMBERED_CLASSES = 20
MAX_TITLE_LETTERS = 20  # as many as an image is wide
TRAINING_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"


# Decorates functions that draw: their texts are never parsed as math, a class may be named $5.
plain_text = rc_context({"text.parse_math": False})


class PlainFigure(Figure):
    """A figure whose ticks, which are made while drawing, are never parsed as math."""

    @plain_text
    def draw(self, renderer: RendererBase) -> None:
        super().draw(renderer)


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Returns a figure of this size in inches, with a canvas but outside pyplot's global state."""
    figure = PlainFigure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


@plain_text
def image_grid(images: np.ndarray, titles: Sequence[str], heading: str | None = None) -> Figure:
    """Draws images in rows of five, each under its title.

    Args:
        images: uint8 (n, height, width, channels), n >= 1. Of other than 3 channels the mean is shown.
        titles: One per image.
        heading: The title of the figure.
    """
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    lines = max(title.count("\n") for title in titles) + 1
    top = 0.4 if heading else 0.0
    cell, line = IMAGE_INCHES + GAP_INCHES, IMAGE_INCHES + GAP_INCHES + TITLE_INCHES * lines
    width, height = cell * columns, line * rows + top
    figure = new_figure(width, height, layout=None)  # a layout engine takes longer than all the rest
    # All images share one Axes, measured in inches: twenty-five Axes take ten times as long.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for number, (image, title) in enumerate(zip(images, titles, strict=False)):
        row, column = divmod(number, columns)
        left, low = cell * column + GAP_INCHES / 2, height - top - line * (row + 1) + GAP_INCHES
        _draw_image(axes, image, left, low)
        middle = left + IMAGE_INCHES / 2
        axes.text(middle, low + IMAGE_INCHES + 0.03, title, fontsize=9, ha="center", va="bottom")
    axes.set(xlim=(0, width), ylim=(0, height))
    if heading:
        figure.suptitle(heading, y=1 - 0.1 / height, va="top")
    return figure


def _draw_image(axes: Axes, image: np.ndarray, left: float, low: float) -> None:
    """Draws an image as large as fits into a square, in its own proportions."""
    height, width = IMAGE_INCHES * np.array(image.shape[:2]) / max(image.shape[:2])
    left, low = left + (IMAGE_INCHES - width) / 2, low + (IMAGE_INCHES - height) / 2
    extent = (left, left + width, low, low + height)
    if image.shape[-1] == 3:
        axes.imshow(image, extent=extent)
    else:  # one channel, or the mean of several without a known colour
        axes.imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=255, extent=extent)


def dataset_figure(images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], name: str) -> Figure:
    """Draws the first 25 images, each titled with its class."""
    titles = [_shortened(class_names[label], MAX_TITLE_LETTERS) for label in labels[:25]]
    return image_grid(images[:25], titles, f"{name}: some of the training images")


def _shortened(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


@plain_text
def learning_curves(history: Sequence[Mapping[str, float]], best_epoch: int) -> Figure:
    """Draws loss and accuracy over the epochs, with the best epoch marked.

    Args:
        history: Per epoch loss, accuracy, val_loss and val_accuracy.
        best_epoch: From 1.
    """
    figure = new_figure(10, 4, layout=None)
    margins = {"left": 0.08, "right": 0.98, "bottom": 0.13, "top": 0.96, "wspace": 0.22}
    epochs = range(1, len(history) + 1)
    for axes, metric in zip(figure.subplots(1, 2, gridspec_kw=margins), ("loss", "accuracy"), strict=True):
        for prefix, label, colour in (
            ("", "training", TRAINING_COLOUR),
            ("val_", "validation", VALIDATION_COLOUR),
        ):
            values = [epoch[prefix + metric] for epoch in history]
            axes.plot(epochs, values, marker="o", markersize=3, color=colour, label=label)
        axes.axvline(best_epoch, color="0.5", linestyle=":", label=f"best epoch ({best_epoch})")
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


@plain_text
def confusion_figure(matrix: np.ndarray, class_names: Sequence[str], images: str) -> Figure:
    """Draws the confusion matrix as shares of each true class, with counts for at most 20 classes.

    Args:
        matrix: See `confusion_matrix`.
        class_names: Of its rows and columns.
        images: Names the images in the title, such as "test images".
    """
    size = min(max(5.0, 0.6 * len(class_names) + 2.0), 16.0)
    figure = new_figure(size + 0.8, size)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    correct = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set_title(f"{matrix.sum():,} {images}, {correct:.1%} right")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(class_names) <= MAX_NUMBERED_CLASSES:
        axes.set_xticks(range(len(class_names)), class_names, rotation=45, ha="right")
        axes.set_yticks(range(len(class_names)), class_names)
        _write_counts(axes, matrix, shares)
    return figure


def _write_counts(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


@plain_text
def wrong_images(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    wrong: int,
    total: int,
) -> Figure:
    """Draws wrongly classified images, each titled with true class, predicted class and its probability.

    Args:
        images: uint8 (n, height, width, 1 or 3); none if the network made no error.
        labels: Their true classes (n,).
        probabilities: Their predictions (n, classes).
        class_names: The name of each class.
        wrong: The number of errors in all.
        total: The number of images in all.
    """
    if len(images) == 0:
        figure = new_figure(6, 2)
        figure.text(0.5, 0.5, f"None of {total:,} images was classified wrongly.", ha="center")
        return figure
    titles = [
        f"{_shortened(class_names[label], MAX_TITLE_LETTERS)}\n"
        f"→ {_shortened(class_names[row.argmax()], MAX_TITLE_LETTERS - 8)} ({row.max():.0%})"
        for label, row in zip(labels, probabilities, strict=True)
    ]
    return image_grid(images, titles, f"Most confidently wrong of {wrong:,} (true → predicted)")
