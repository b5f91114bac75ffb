"""Figures show the numbers of their runs."""

import base64
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from kerasweep.report.effects import Effect, Interaction
from kerasweep.report.figures import (
    GOOD,
    MAX_RANKED,
    UNTOLD,
    WORSE,
    curves_figure,
    data_uri,
    effect_figure,
    interaction_figure,
    isolation_figure,
    ranking_figure,
)
from kerasweep.report.groups import Group
from kerasweep.report.ranking import AgainstBest
from kerasweep.report.standings import Standing
from kerasweep.report.statistics import Estimate
from kerasweep.report.tuning import Isolation

BEST = Standing(Estimate(0.9, 0.85, 0.95, 5), AgainstBest(0.0, None, is_best=True))
EQUAL = Standing(Estimate(0.89, 0.8, 0.98, 5), AgainstBest(0.01, 0.6))
BEHIND = Standing(Estimate(0.5, 0.4, 0.6, 5), AgainstBest(0.4, 0.001))
SINGLE = Standing(Estimate(0.7, None, None, 1), AgainstBest(0.2, None))
NOTHING = Standing(None, AgainstBest(float("nan"), None))


def only(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def test_ranking_shows_means_and_intervals_from_above() -> None:
    axes = only(ranking_figure(list("abcde"), [BEST, EQUAL, BEHIND, SINGLE, NOTHING], "val_accuracy"))
    assert labels(axes) == ["a", "b", "c", "d"] and axes.get_xlabel() == "val_accuracy"
    assert axes.get_ylim() == (3.5, -0.5)
    intervals = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert intervals == [[0.85, 0.95], [0.8, 0.98], [0.4, 0.6]]
    points = {
        line.get_xdata()[0]: to_hex(line.get_color()) for line in axes.lines if len(line.get_xdata()) == 1
    }
    assert points == {0.9: GOOD.lower(), 0.89: GOOD.lower(), 0.5: to_hex(WORSE), 0.7: UNTOLD.lower()}


def numbers_of(strengths: Sequence[float]) -> Effect:
    groups = tuple(Group((str(strength),), ()) for strength in strengths)
    return Effect("strength", (*groups, Group(("-",), ())), (BEST, *[SINGLE] * len(strengths)), True)


def test_many_numbers_of_an_axis_have_a_numeric_scale() -> None:
    axes = only(effect_figure(numbers_of([10.0**-place for place in range(13, 0, -1)]), "val_accuracy"))
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("strength", "val_accuracy", "log")
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    assert points == [(10.0**-13, 0.9), *((10.0**-place, 0.7) for place in range(12, 0, -1))]
    assert [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 2] == [[0.85, 0.95]]
    near = only(effect_figure(numbers_of([1 + place / 20 for place in range(13)]), "val_accuracy"))
    assert near.get_xscale() == "linear"


def test_a_dozen_numbers_are_listed() -> None:
    axes = only(effect_figure(numbers_of([0.123456789 + place for place in range(12)]), "val_accuracy"))
    assert labels(axes) == ["0.1235", *(f"{place + 0.123456789:.4g}" for place in range(1, 12)), "-"]


def test_the_heading_of_the_labels_stands_above_them() -> None:
    axes = only(ranking_figure(["3 · 8"], [BEST], "val_accuracy", "k · b"))
    assert [text.get_text() for text in axes.texts] == ["k · b"]


def test_long_rankings_show_the_best() -> None:
    axes = only(ranking_figure([str(place) for place in range(99)], [BEST] * 99, "val_accuracy"))
    assert labels(axes) == [str(place) for place in range(MAX_RANKED)]


def test_effect_shows_values_in_their_order() -> None:
    groups = tuple(Group((value,), ()) for value in ("8", "16"))
    axes = only(effect_figure(Effect("batch_size", groups, (BEHIND, BEST), True), "val_accuracy"))
    assert (axes.get_title(), labels(axes)) == ("batch_size", ["8", "16"])


def test_interaction_has_a_line_a_value_of_the_second_axis() -> None:
    means = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    found = Interaction(("k", "b"), (("3", "5", "7"), ("8", "16")), means, 0.1, 0.01)
    axes = only(interaction_figure(found, "val_accuracy"))
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {
        "8": [0.1, 0.3, 0.5],
        "16": [0.2, 0.4, 0.6],
    }
    assert axes.get_xlabel() == "k"


def test_curves_are_means_over_seeds_as_far_as_each_went() -> None:
    axes = only(curves_figure({"a": [[0.2, 0.4, 0.8], [0.4, 0.6]]}, "val_accuracy"))
    (line,) = axes.lines
    assert list(line.get_xdata()) == [1, 2, 3]
    assert line.get_ydata() == pytest.approx([0.3, 0.5, 0.8])
    (band,) = axes.collections
    low, high = band.get_paths()[0].get_extents().get_points()
    assert (low[1], high[1]) == pytest.approx((0.2, 0.8))


def test_training_is_dashed_beside_the_validation_of_its_configuration() -> None:
    curves = {"a": [[0.2, 0.4]], "b": [[0.3, 0.5]]}
    axes = only(curves_figure(curves, "val_accuracy", {"b": [[0.6, 0.8], [0.8]]}))
    assert [line.get_linestyle() for line in axes.lines] == ["-", "-", "--"]
    assert axes.lines[2].get_ydata() == pytest.approx([0.7, 0.8])
    assert axes.lines[2].get_color() == axes.lines[1].get_color()


def test_curves_have_gaps_where_no_seed_has_a_number() -> None:
    nan, inf = float("nan"), float("inf")
    figure = curves_figure({"a": [[0.2, nan, 0.8, nan], [0.4, inf, nan]], "b": [[nan, nan]]}, "val_loss")
    first, second = only(figure).lines
    assert first.get_ydata() == pytest.approx([0.3, nan, 0.8, nan], nan_ok=True)
    assert second.get_ydata() == pytest.approx([nan, nan], nan_ok=True)
    data_uri(figure)


def test_texts_stay_texts() -> None:
    uri = data_uri(ranking_figure(["a label"], [BEST], "val_accuracy"))
    svg = base64.b64decode(uri.partition(",")[2]).decode()
    assert uri.startswith("data:image/svg+xml;base64,") and ">a label</text>" in svg


def test_dollars_are_shown_as_text() -> None:
    names = (r"$\frac$", "US$5-US$10")
    groups = tuple(Group((name,), ()) for name in names)
    drawn = (
        ranking_figure(names, [BEST, BEHIND], "$m$", "$k$ · $b$"),
        effect_figure(Effect("$k$", groups, (BEST, BEHIND), True), "$m$"),
        interaction_figure(Interaction(("$k$", "$b$"), (names, names), np.eye(2), 0.1, 0.01), "$m$"),
        curves_figure({name: [[0.2, 0.4]] for name in names}, "$m$"),
    )
    for figure in drawn:
        svg = base64.b64decode(data_uri(figure).partition(",")[2]).decode()
        assert all(f">{text}</text>" in svg for text in (*names, "$m$"))


def test_a_logarithmic_axis_is_labelled_in_plain_text() -> None:
    effect = numbers_of([10.0**-place for place in range(13, 0, -1)])
    svg = base64.b64decode(data_uri(effect_figure(effect, "val_accuracy")).partition(",")[2]).decode()
    assert ">1e\N{MINUS SIGN}05</text>" in svg and "mathdefault" not in svg


def test_values_of_a_tuned_axis_are_its_ticks() -> None:
    """Over less than two decades, matplotlib labels the ticks between them, too."""
    points = tuple((value, 0.5 + number / 10) for number, value in enumerate(("0.0005", "0.002", "0.008")))
    figure = isolation_figure(
        Isolation("learning_rate", {"size=3": points, "size=5": points}), "val_accuracy"
    )
    svg = base64.b64decode(data_uri(figure).partition(",")[2]).decode()
    assert "mathdefault" not in svg
    assert all(f">{text}</text>" in svg for text in ("0.0005", "0.002", "0.008", "size=3", "size=5"))
    figure = effect_figure(numbers_of([0.004, 0.02, 0.1, 0.5]), "val_accuracy")
    assert "mathdefault" not in base64.b64decode(data_uri(figure).partition(",")[2]).decode()
