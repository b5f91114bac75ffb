"""Draws objectives against each other and against cost, and the importance of axes as bars."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerasweep.report.figures import GOOD, LOGARITHMIC, ROW_INCHES, WIDTH, WORSE, scale_by_logarithm
from kerasweep.report.trade_off import TradeOff
from kerasweep.trial.figures import new_figure, plain_text

HEIGHT = 3.6
MAX_NAMED = 12
Point = tuple[float, float]


@plain_text
def trade_off_figure(trade_off: TradeOff, labels: Sequence[str]) -> Figure:
    """Draws the first objective over the second, the Pareto front in blue with its configurations named.

    Args:
        trade_off: The objectives of the groups.
        labels: A text per group.
    """
    rows = zip(trade_off.values, trade_off.is_front, labels, strict=True)
    known = [((each[1], each[0]), is_front, label) for each, is_front, label in rows if each is not None]
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.subplots()
    _scatter(axes, [point for point, is_front, _ in known if not is_front], WORSE)
    front = sorted((point, label) for point, is_front, label in known if is_front)
    axes.plot(*zip(*(point for point, _ in front), strict=True), "-", color=GOOD, linewidth=1, alpha=0.5)
    _scatter(axes, [point for point, _ in front], GOOD)
    _name(axes, front[:MAX_NAMED])
    _finish(axes, [point for point, *_ in known], trade_off.measures[1], trade_off.measures[0])
    return figure


@plain_text
def cost_figure(points: Sequence[Point], best: Mapping[Point, str], measure: str) -> Figure:
    """Draws the mean objective over the mean seconds of a training.

    Args:
        points: Seconds and objective of each configuration.
        best: The points of the best configurations, with a text each.
        measure: The name of the objective.
    """
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.subplots()
    _scatter(axes, [point for point in points if point not in best], WORSE)
    _scatter(axes, list(best), GOOD)
    _name(axes, list(best.items()))
    _finish(axes, points, "seconds of a training", measure)
    return figure


@plain_text
def importance_figure(
    shares: Mapping[str, float], significant: Sequence[str], borders: Mapping[str, float]
) -> Figure:
    """Draws a bar per axis, blue if it exceeds noise.

    Args:
        shares: By axis, the most important first.
        significant: The axes whose share exceeds noise.
        borders: By axis, the share that chance seldom exceeds, drawn as a line; empty for no lines.
    """
    figure = new_figure(WIDTH, 0.8 + ROW_INCHES * len(shares))
    axes = figure.subplots()
    for row, (axis, share) in enumerate(shares.items()):
        axes.barh(row, 100 * share, color=GOOD if axis in significant else WORSE, height=0.6)
        if axis in borders:
            axes.plot([100 * borders[axis]] * 2, [row - 0.4, row + 0.4], color="black", linewidth=1.5)
    axes.set_yticks(range(len(shares)), list(shares), fontsize=8)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("%")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _scatter(axes: Axes, points: Sequence[Point], colour: str) -> None:
    axes.plot([x for x, _ in points], [y for _, y in points], "o", color=colour, markersize=4)


def _name(axes: Axes, points: Sequence[tuple[Point, str]]) -> None:
    for point, label in points:
        axes.annotate(label, point, xytext=(5, -3), textcoords="offset points", fontsize=7)


def _finish(axes: Axes, points: Sequence[Point], horizontal: str, vertical: str) -> None:
    smallest, largest = (choose(x for x, _ in points) for choose in (min, max))
    if smallest > 0 and largest >= LOGARITHMIC / 10 * smallest:
        scale_by_logarithm(axes)
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.margins(x=0.12)
    axes.grid(alpha=0.3)
