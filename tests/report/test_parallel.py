"""Lays out parallel coordinates."""

from collections.abc import Sequence

import pytest
from matplotlib.colors import to_rgb

from kerasweep.report.parallel import BOTTOM, TOP, lay_out

MIDDLE = (TOP + BOTTOM) / 2


def test_lines_pass_their_values_and_end_at_their_score() -> None:
    laid_out = lay_out(
        ["k", "c"], [(("8", "b"), 0.5), (("32", "a"), 0.9), (("16", "a"), 0.9)], "val_accuracy"
    )
    heights = [[y for _, y in line.points] for line in laid_out.lines]
    assert heights == [[BOTTOM, TOP, BOTTOM], [TOP, BOTTOM, TOP], [MIDDLE, BOTTOM, TOP]]
    assert [[text for _, text in axis.labels] for axis in laid_out.axes] == [
        ["8", "16", "32"],
        ["a", "b"],
        ["0.5", "0.7", "0.9"],
    ]
    assert laid_out.lines[1].text == "k=32 c=a: val_accuracy 0.9"
    places = [axis.x for axis in laid_out.axes]
    assert all([x for x, _ in line.points] == places for line in laid_out.lines)


@pytest.mark.parametrize("scores", [(0.5, 0.7, 0.9), (0.9, 0.7, 0.5)])
def test_the_best_line_is_the_darkest_whether_high_or_low(scores: Sequence[float]) -> None:
    rows = [((level,), score) for level, score in zip(("8", "16", "32"), scores, strict=True)]
    brightness = [sum(to_rgb(line.colour)) for line in lay_out(["k"], rows, "measure").lines]
    assert brightness == sorted(brightness, reverse=True) and len(set(brightness)) == 3


def test_equal_scores_are_drawn() -> None:
    laid_out = lay_out(["k"], [(("8",), 0.5), (("16",), 0.5)], "val_accuracy")
    assert [line.points[-1][1] for line in laid_out.lines] == [TOP, TOP]


def test_some_of_many_values_are_labelled() -> None:
    rows = [((str(value),), value / 100) for value in range(100)]
    labels = [text for _, text in lay_out(["k"], rows, "measure").axes[0].labels]
    assert labels == [str(value) for value in range(0, 100, 9)]
