"""Draws the figures of a report: rankings, effects, interactions and learning curves."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator, NullFormatter

from kerasweep.report.effects import Effect, Interaction
from kerasweep.report.groups import number_of
from kerasweep.report.standings import Standing
from kerasweep.report.tuning import Isolation
from kerasweep.trial.figures import new_figure, plain_text

GOOD, WORSE, UNTOLD = "#0072B2", "0.6", "#E69F00"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MAX_RANKED, MAX_LISTED, MAX_TICKS = 30, 12, 8
WIDTH, ROW_INCHES, SCATTER_INCHES = 9.4, 0.26, 3.2
Curves = Mapping[str, Sequence[Sequence[float]]]  # by configuration, the values after each epoch per seed
LOGARITHMIC = 100  # an axis is logarithmic if its largest number is 100 times the smallest or more


def data_uri(figure: Figure) -> str:
    """Returns the figure as an SVG data URI: the same bytes for the same figure, texts stay texts."""
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "kerasweep"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@plain_text
def ranking_figure(
    labels: Sequence[str], standings: Sequence[Standing], measure: str, heading: str = ""
) -> Figure:
    """Draws the means with their intervals, the best on top, at most 30.

    Args:
        labels: A text per configuration.
        standings: The standings of the configurations.
        measure: The name of the objective.
        heading: The names of the axes, printed above the labels.
    """
    rows = [row for row in zip(labels, standings, strict=True) if row[1].estimate]
    shown = rows[:MAX_RANKED]
    figure = new_figure(WIDTH, 1.0 + ROW_INCHES * len(shown))
    axes = figure.subplots()
    _draw_means(axes, [standing for _, standing in shown])
    axes.set_yticks(range(len(shown)), [label for label, _ in shown], fontsize=8)
    axes.set_xlabel(measure)
    axes.grid(axis="x", alpha=0.3)
    axes.annotate(
        heading,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-7, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="0.4",
    )
    return figure


@plain_text
def effect_figure(effect: Effect, measure: str, limits: tuple[float, float] | None = None) -> Figure:
    """Draws a mean per value of an axis: a row each, or points over the axis for more than 12 numbers.

    Args:
        effect: The means. Small points behind them are the single runs.
        measure: The name of the objective.
        limits: The ends of the objective's scale, the same for all axes; None for those of this axis.
    """
    shown = [pair for pair in zip(effect.groups, effect.standings, strict=True) if pair[1].estimate]
    numbers = [(number_of(group.values[0]), standing) for group, standing in shown]
    points = [(number, standing) for number, standing in numbers if number is not None]
    if len(points) > MAX_LISTED:
        return _scattered(effect.axis, points, measure, limits)
    figure = new_figure(WIDTH / 2, 1.0 + ROW_INCHES * len(shown))
    axes = figure.subplots()
    for row, (group, _) in enumerate(shown):
        values = [run.metrics["objective"] for run in group.runs if "objective" in run.metrics]
        axes.plot(values, [row + 0.3] * len(values), "o", color="0.5", markersize=2, alpha=0.5)
    _draw_means(axes, [standing for _, standing in shown])
    if limits is not None:
        axes.set_xlim(*limits)
    axes.set_yticks(range(len(shown)), [group.labels[0] for group, _ in shown], fontsize=8)
    axes.set_xlabel(measure)
    axes.set_title(effect.axis, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _scattered(
    axis: str, points: Sequence[tuple[float, Standing]], measure: str, limits: tuple[float, float] | None
) -> Figure:
    figure = new_figure(WIDTH / 2, SCATTER_INCHES)
    axes = figure.subplots()
    for number, standing in points:
        estimate, colour = standing.estimate, _colour(standing)
        assert estimate is not None
        if estimate.low is not None and estimate.high is not None:
            axes.plot([number, number], [estimate.low, estimate.high], color=colour, linewidth=1)
        axes.plot(number, estimate.mean, "o", color=colour, markersize=4)
    lowest, highest = points[0][0], points[-1][0]
    if lowest > 0 and highest / lowest >= LOGARITHMIC:
        scale_by_logarithm(axes)
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_xlabel(axis)
    axes.set_ylabel(measure)
    axes.set_title(axis, fontsize=10)
    axes.grid(alpha=0.3)
    return figure


def _draw_means(axes: Axes, standings: Sequence[Standing]) -> None:
    for row, standing in enumerate(standings):
        estimate = standing.estimate
        assert estimate is not None
        colour = _colour(standing)
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2)
        axes.plot(estimate.mean, row, "o" if estimate.low is not None else "D", color=colour, markersize=5)
    axes.set_ylim(len(standings) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _colour(standing: Standing) -> str:
    if standing.is_not_worse:
        return GOOD
    return WORSE if standing.against_best.is_worse else UNTOLD


@plain_text
def interaction_figure(interaction: Interaction, measure: str) -> Figure:
    """Draws a line per value of the second axis over the first: parallel lines are no interaction."""
    figure = new_figure(WIDTH / 2, 2.8)
    axes = figure.subplots()
    first, second = interaction.values
    for column, value in enumerate(second):
        colour = COLOURS[column % len(COLOURS)]
        axes.plot(first, interaction.means[:, column], marker="o", markersize=4, color=colour, label=value)
    axes.set_xlabel(interaction.axes[0])
    axes.set_ylabel(measure)
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(title=interaction.axes[1], fontsize=8, title_fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def scale_by_logarithm(axes: Axes) -> None:
    """Makes the horizontal axis logarithmic."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(LogFormatter())  # the default formatters write math text
    axes.xaxis.set_minor_formatter(NullFormatter())


@plain_text
def isolation_figure(isolation: Isolation, measure: str) -> Figure:
    """Draws the best objective over the values of a nuisance axis, a colour per combination.

    A line joins the points, unless they are of tunings that tried different values.
    """
    figure = new_figure(0.8 * WIDTH, 2.8)
    axes = figure.subplots()
    values = list(dict.fromkeys(value for points in isolation.arms.values() for value, _ in points))
    numbers = [number_of(value) for value in values]
    known = [number for number in numbers if number is not None]
    is_numeric = len(known) == len(values)
    for number, (arm, points) in enumerate(list(isolation.arms.items())[:MAX_LISTED]):
        places = [known[values.index(value)] if is_numeric else values.index(value) for value, _ in points]
        scores = [score for _, score in points]
        colour, is_again = COLOURS[number % len(COLOURS)], number >= len(COLOURS)
        style = ("--" if is_again else "-") if isolation.is_shared else "none"
        marker = "s" if is_again else "o"
        axes.plot(places, scores, linestyle=style, marker=marker, markersize=4, color=colour, label=arm)
    if is_numeric and min(known, default=0) > 0 and max(known) >= LOGARITHMIC / 10 * min(known):
        scale_by_logarithm(axes)
    if len(values) <= MAX_TICKS:
        axes.set_xticks(known if is_numeric else range(len(values)), values)
    axes.set_xlabel(isolation.axis)
    axes.set_ylabel(measure)
    axes.tick_params(axis="x", labelsize=8)
    hidden = len(isolation.arms) - MAX_LISTED
    if isolation.arms:
        title = f"{hidden} more combinations are not shown" if hidden > 0 else None
        axes.legend(title=title, fontsize=7, title_fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1))
    axes.grid(alpha=0.3)
    return figure


def _by_epoch(seeds: Sequence[Sequence[float]]) -> np.ma.MaskedArray:
    """Returns the values (seeds, epochs), masked where a seed lacks an epoch or its value is not finite."""
    longest = max(map(len, seeds))
    padded = np.array([[*seed, *[np.nan] * (longest - len(seed))] for seed in seeds], dtype=float)
    return np.ma.masked_invalid(padded)


@plain_text
def curves_figure(curves: Curves, metric: str, training: Curves | None = None) -> Figure:
    """Draws the mean and the range over the seeds after each epoch, and the mean of the training as dashes.

    Args:
        curves: By configuration, the metric's values after each epoch per seed. A seed that ended early
            counts up to its last epoch; an epoch without a finite value is a gap.
        metric: The name of the metric.
        training: The same of the training images, by configuration.
    """
    figure = new_figure(WIDTH, 3.6)
    axes = figure.subplots()
    for number, (label, seeds) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        values = _by_epoch(seeds)
        mean, low, high = (masked.filled(np.nan) for masked in (values.mean(0), values.min(0), values.max(0)))
        epochs = range(1, len(mean) + 1)
        axes.plot(epochs, mean, color=colour, label=label, linewidth=1.5)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        if training and training.get(label):
            trained = _by_epoch(training[label]).mean(0).filled(np.nan)
            axes.plot(range(1, len(trained) + 1), trained, "--", color=colour, linewidth=0.8)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if any(curves):
        axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return figure
