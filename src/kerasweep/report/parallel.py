"""Lays out parallel coordinates, which the page draws as an SVG that a reader can brush."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.colors import to_hex

from kerasweep.report.groups import natural_sort_key
from kerasweep.report.reading import Report

MAX_LINES, MAX_LABELS = 1_000, 12
WIDTH, HEIGHT = 1000, 340  # user units of the SVG
LEFT, RIGHT, TOP, BOTTOM = 20, 120, 30, 320


@dataclass(frozen=True)
class ParallelAxis:
    """A vertical axis."""

    name: str
    x: float
    labels: list[tuple[float, str]]  # y and text


@dataclass(frozen=True)
class ParallelLine:
    """The line of a configuration."""

    points: list[tuple[float, float]]  # x and y on each axis
    colour: str  # darker is better
    text: str


@dataclass(frozen=True)
class ParallelCoordinates:
    """What the page draws."""

    axes: list[ParallelAxis]
    lines: list[ParallelLine]  # the best one last, on top
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP
    bottom: int = BOTTOM


def parallel_coordinates(report: Report, measure: str) -> ParallelCoordinates | None:
    """Lays out the best thousand configurations; None for a single axis."""
    means = [(group.labels, group.mean("objective")) for group in report.groups[:MAX_LINES]]
    rows = [(values, mean) for values, mean in reversed(means) if mean is not None and mean == mean]
    return lay_out(report.axes, rows, measure) if len(report.axes) > 1 and len(rows) > 1 else None


def lay_out(
    axes: Sequence[str], rows: Sequence[tuple[Sequence[str], float]], measure: str
) -> ParallelCoordinates:
    """Lays out a line per configuration through its values of the axes to its score.

    Args:
        axes: The names of the axes.
        rows: The values and the score of each configuration, the worst first.
        measure: The name of the score, which is the last axis.
    """
    step = (WIDTH - LEFT - RIGHT) / len(axes)
    levels = [
        sorted({row[0][place] for row in rows}, key=lambda level: natural_sort_key([level]))
        for place in range(len(axes))
    ]
    heights = [{level: _y(_share(at, len(values))) for at, level in enumerate(values)} for values in levels]
    scores = [score for _, score in rows]
    low, span = min(scores), max(scores) - min(scores)
    drawn = [
        ParallelAxis(name, LEFT + place * step, [(heights[place][level], level) for level in _some(own)])
        for place, (name, own) in enumerate(zip(axes, levels, strict=True))
    ]
    ticks = [(_y(share), f"{low + share * span:.4g}") for share in (0.0, 0.5, 1.0)]
    lines = []
    for values, score in rows:
        goodness = abs(score - scores[0]) / span if span else 1.0
        ys = [height[value] for height, value in zip(heights, values, strict=True)]
        ys.append(_y((score - low) / span if span else 1.0))
        points = [(LEFT + place * step, y) for place, y in enumerate(ys)]
        text = " ".join(f"{name}={value}" for name, value in zip(axes, values, strict=True))
        colour = to_hex(colormaps["viridis_r"](goodness))
        lines.append(ParallelLine(points, colour, f"{text}: {measure} {score:.4g}"))
    return ParallelCoordinates([*drawn, ParallelAxis(measure, LEFT + len(axes) * step, ticks)], lines)


def _share(place: int, count: int) -> float:
    return place / (count - 1) if count > 1 else 0.5


def _some(levels: Sequence[str]) -> Sequence[str]:
    return levels[:: -(-len(levels) // MAX_LABELS)]


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)
