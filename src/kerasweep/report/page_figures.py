"""Draws the figures of the page, each as an SVG image that the page holds."""

import math
from collections.abc import Sequence
from typing import Any

from kerasweep.report import figures, scatter_figures
from kerasweep.report.effects import Effect, VarianceShare, axis_effect, interactions, variance_shares
from kerasweep.report.groups import by_dataset, maximizes
from kerasweep.report.reading import Report
from kerasweep.report.statistics import p_text
from kerasweep.report.trade_off import TradeOff
from kerasweep.report.tuning import Isolation
from kerasweep.search.importance import Importance, importance_of

MAX_POINTS, MAX_PLOTTED = 1_000, 2
SEPARATOR = " · "
SIGNIFICANT = 0.05


def draw_trade_off(report: Report, trade_off: TradeOff | None) -> dict[str, Any] | None:
    """Draws the Pareto front of several objectives."""
    if trade_off is None or not any(trade_off.is_front):
        return None
    labels = [SEPARATOR.join(group.labels) for group in report.groups]
    return {
        "image": figures.data_uri(scatter_figures.trade_off_figure(trade_off, labels)),
        "count": sum(trade_off.is_front),
        "measures": trade_off.measures,
    }


def effects_of(report: Report) -> list[Effect]:
    """Returns the effects of axes with several values; none for a single axis, which the ranking shows."""
    if not has_one_dataset(report):
        return []
    found = [axis_effect(report.runs, axis, report.varied) for axis in report.axes]
    shown = [
        effect
        for effect in found
        if len(effect.groups) > 1 and any(standing.estimate for standing in effect.standings)
    ]
    return shown if len(found) > 1 else []


def draw_effects(effects: Sequence[Effect], order: Sequence[str], measure: str) -> list[dict[str, Any]]:
    """Draws the effects on one scale, the most important axis first."""
    ends = [
        end
        for effect in effects
        for standing in effect.standings
        if (found := standing.estimate) is not None
        for end in (found.mean, found.low, found.high)
        if end is not None and math.isfinite(end)
    ]
    runs = [run for effect in effects for group in effect.groups for run in group.runs]
    ends += [value for run in runs if math.isfinite(value := run.metrics.get("objective", math.nan))]
    if not ends:
        return []
    edge = 0.05 * (max(ends) - min(ends)) or 0.01
    limits = min(ends) - edge, max(ends) + edge
    places = {axis: place for place, axis in enumerate(order)}
    return [
        {
            "axis": effect.axis,
            "image": figures.data_uri(figures.effect_figure(effect, measure, limits)),
        }
        for effect in sorted(effects, key=lambda effect: places.get(effect.axis, len(places)))
    ]


def draw_cost(report: Report, measure: str) -> str | None:
    """Draws the objective over the seconds; None with fewer than three configurations."""
    points = {
        (seconds, mean): SEPARATOR.join(group.labels)
        for group in report.groups[:MAX_POINTS]
        if (seconds := group.mean("seconds")) is not None
        and (mean := group.mean("objective")) is not None
        and math.isfinite(mean)
    }
    if len(points) < 3 or not has_one_dataset(report):
        return None
    best = dict(list(points.items())[:1])
    return figures.data_uri(scatter_figures.cost_figure(list(points), best, measure))


def draw_importance(shares: Sequence[VarianceShare], importance: Importance | None) -> str | None:
    """Draws the importance of the axes."""
    if shares and not any(share.share for share in shares):
        return None
    if shares:
        known = {share.axis: share.share or 0.0 for share in shares}
        significant = [share.axis for share in shares if share.share is not None and share.p < SIGNIFICANT]
        return figures.data_uri(scatter_figures.importance_figure(known, significant, {}))
    if importance is None:
        return None
    significant = list(importance.beyond_noise)
    drawn = scatter_figures.importance_figure(importance.shares, significant, importance.borders)
    return figures.data_uri(drawn)


def has_one_dataset(report: Report) -> bool:
    """Whether all groups share a data set: an average over an axis must not be over data sets too."""
    return len(by_dataset(report.groups)) == 1


def draw_interactions(report: Report, measure: str) -> list[dict[str, Any]]:
    """Returns each interaction with its share and p-value, the largest ones with a figure."""
    if not has_one_dataset(report):
        return []
    complete = [run for group in report.groups for run in group.runs]
    return [
        {
            "axes": " × ".join(interaction.axes),
            "share": share_text(interaction.share),
            "p": "-" if interaction.p is None else p_text(interaction.p).removeprefix("p "),
            "image": figures.data_uri(figures.interaction_figure(interaction, measure))
            if place < MAX_PLOTTED
            else None,
        }
        for place, interaction in enumerate(interactions(complete, report.axes, report.varied))
    ]


def share_text(share: float | None) -> str:
    """Formats a share in percent."""
    return "-" if share is None else f"{share:.0%}"


def draw_tuned(isolation: Isolation, measure: str) -> dict[str, str]:
    """Draws the best objective over the values of a nuisance axis."""
    return {
        "axis": isolation.axis,
        "image": figures.data_uri(figures.isolation_figure(isolation, measure)),
    }


def shares_of(report: Report) -> list[VarianceShare]:
    """Returns the share of each axis in the differences between the groups; none for a single axis."""
    several = len(report.axes) > 1 and has_one_dataset(report)
    complete = [run for group in report.groups for run in group.runs]
    return variance_shares(complete, report.axes, report.varied) if several else []


def importance_of_report(report: Report) -> Importance | None:
    """Returns the importance of the axes by one run of each configuration."""
    rows = [
        ({axis: run.tags[axis] for axis in report.axes if axis in run.tags}, mean)
        for group in report.groups
        for run in group.runs[:1]
        if (mean := group.mean("objective")) is not None
    ]
    return importance_of(rows, maximizes(report.groups))
