"""Renders a report as one self-contained HTML page, without network access or other files."""

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from kerasweep.report import figures, scatter_figures
from kerasweep.report.afterwards import WINNER, Step
from kerasweep.report.answer import answers_of
from kerasweep.report.effects import Effect, VarianceShare, axis_effect, interactions, variance_shares
from kerasweep.report.fairness import caveats, epochs_line, images_line, score_line
from kerasweep.report.groups import by_dataset, label, maximizes, measure_of, natural_sort_key, values_of
from kerasweep.report.reading import Judged, Report
from kerasweep.report.statistics import p_text
from kerasweep.report.summary import others_line, test_lines
from kerasweep.report.tables import HEADINGS, MAX_ROWS, has_seeds, headings, notes, shown_cells, tally
from kerasweep.report.trade_off import TradeOff, trade_off_of
from kerasweep.report.tuning import Isolation, tuned_values
from kerasweep.report.verdicts import finding_lines
from kerasweep.results import State
from kerasweep.search.importance import Importance, importance_of
from kerasweep.terminal import duration_text
from kerasweep.tracking.run_record import RunRecord

CHOSEN = "Validation chooses the best configuration, so its score is optimistic."
MAX_OTHERS, MAX_LINES, MAX_PLOTTED = 100, 1_000, 2
ID_DIGITS, SEPARATOR = 8, " · "
SIGNIFICANT = 0.05
Curves = Mapping[str, Sequence[Sequence[float]]]


def render_page(
    report: Report,
    title: str,
    command: str,
    curves: Curves,
    metric: str,
    steps: Sequence[Step] = (),
    confusion: bytes | None = None,
) -> str:
    """Renders the page.

    Args:
        report: The content.
        title: The title of the page.
        command: The command that makes this page again.
        curves: The learning curves, see `figures.curves_figure`.
        metric: The metric of the curves.
        steps: The winner, and what was done with it.
        confusion: The confusion matrix of the winner, a PNG image.
    """
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        files("kerasweep.report").joinpath("page.html").read_text(encoding="utf-8")
    )
    measure = measure_of(report.groups)
    complete = [run for group in report.groups for run in group.runs]
    several = len(report.axes) > 1 and _has_one_dataset(report)
    shares = variance_shares(complete, report.axes, report.varied) if several else []
    importance = None if shares else _importance(report)
    order = [each.axis for each in shares] or list(importance.shares if importance else ())
    trade_off = trade_off_of(report.groups) if _has_one_dataset(report) else None
    answers, effects = answers_of(report, command), _effects(report)
    links = {step.result_run: step.link for step in steps if step.kind == WINNER}
    return template.render(
        title=title,
        subtitle=_subtitle(report),
        question=_question(report.parents[0]) if len(report.parents) == 1 else None,
        verdicts=[_verdict(judged, measure) for judged in report.judged],
        answers=[(answer, links.get(answer.run_id)) for answer in answers],
        trade_off=_trade_off(report, trade_off),
        **_ranking(report, measure, trade_off),
        effects=_drawn_effects(effects, order, measure),
        unbalanced=[effect.axis for effect in effects if not effect.is_balanced],
        interactions=_interactions(report, measure),
        tunings=[_tuned(each, measure) for tuning in report.tunings for each in tuning.isolations],
        **_tuned_to(report),
        curves=figures.data_uri(figures.curves_figure(curves, metric)) if curves else None,
        curves_shown=len(curves),
        groups=len(report.groups),
        parallel=_parallel(report, measure),
        cost=_cost(report, measure),
        importance=importance,
        shares=[(each.axis, _share_text(each.share), p_text(each.p)) for each in shares],
        bars=_bars(shares, importance),
        confusion=None if confusion is None else f"data:image/png;base64,{b64encode(confusion).decode()}",
        **_others(report),
        states=_states_by_axis(report),
        steps=[step for step in steps if step.kind != WINNER or not answers],
        fairness=_fairness(report, has_answer=bool(answers)),
        origins=[_origin(parent) for parent in report.parents],
        own_command=command,
    )


def _subtitle(report: Report) -> str:
    datasets = sorted({run.tags.get("dataset", "?") for run in report.runs})
    return f"{len(report.runs)} runs on {', '.join(datasets)}: {tally(report.runs)}"


def _question(parent: RunRecord) -> str | None:
    return parent.tags.get("mlflow.note.content")


def _verdict(judged: Judged, measure: str) -> dict[str, Any]:
    return {
        "verdict": judged.verdict.decision,
        "kind": judged.verdict.decision.partition(" ")[0],
        "claim": judged.claim.text,
        "sweep": judged.sweep,
        "lines": finding_lines(judged.verdict, measure),
    }


def _trade_off(report: Report, trade_off: TradeOff | None) -> dict[str, Any] | None:
    """Draws the Pareto front of several objectives."""
    if trade_off is None or not any(trade_off.is_front):
        return None
    labels = [SEPARATOR.join(group.labels) for group in report.groups]
    return {
        "image": figures.data_uri(scatter_figures.trade_off_figure(trade_off, labels)),
        "count": sum(trade_off.is_front),
        "measures": trade_off.measures,
    }


def _ranking(report: Report, measure: str, trade_off: TradeOff | None) -> dict[str, Any]:
    pairs = list(zip(report.groups, report.standings, strict=True))
    labels = [SEPARATOR.join(group.labels) for group in report.groups]
    is_known = any(standing.estimate for standing in report.standings)
    image = (
        figures.ranking_figure(labels, report.standings, measure, SEPARATOR.join(report.axes))
        if is_known
        else None
    )
    return {
        "notes": notes(report.standings) if pairs else ["No run is complete."],
        "ranking": figures.data_uri(image) if image else None,
        "axes_shown": len(report.axes),
        "has_seeds": has_seeds(report.standings),
        "columns": [
            *report.axes,
            f"mean {measure}",
            *_other_columns(trade_off),
            *headings(report.standings),
        ],
        "rows": [
            {
                "cells": [*group.labels, *_row(report, place, trade_off)],
                "is_equal": standing.is_not_worse,
            }
            for place, (group, standing) in enumerate(pairs[:MAX_ROWS])
        ],
    }


def _row(report: Report, place: int, trade_off: TradeOff | None) -> list[str]:
    """Returns the cells of a group behind its values of the axes."""
    cells = _short(shown_cells(report.groups[place], report.standings[place], report.standings))
    if trade_off is None:
        return cells
    values = dict(zip(trade_off.measures, trade_off.values[place] or (), strict=False))
    shown = _other_columns(trade_off)[:-1]
    others = [f"{values[measure]:.6g}" if measure in values else "-" for measure in shown]
    return [cells[0], *others, "yes" if trade_off.is_front[place] else "", *cells[1:]]


def _other_columns(trade_off: TradeOff | None) -> list[str]:
    """Returns the further objectives that have no column yet, and the mark of the Pareto front."""
    if trade_off is None:
        return []
    return [*(measure for measure in trade_off.measures[1:] if measure not in HEADINGS), "Pareto front"]


def _short(row: Sequence[str]) -> list[str]:
    """Shortens the last cell, the best run's id, to the digits that commands need."""
    return [*row[:-1], row[-1][:ID_DIGITS]]


def _effects(report: Report) -> list[Effect]:
    """Returns the effects of axes with several values; none for a single axis, which the ranking shows."""
    if not _has_one_dataset(report):
        return []
    found = [axis_effect(report.runs, axis, report.varied) for axis in report.axes]
    shown = [each for each in found if len(each.groups) > 1 and any(one.estimate for one in each.standings)]
    return shown if len(found) > 1 else []


def _drawn_effects(effects: Sequence[Effect], order: Sequence[str], measure: str) -> list[dict[str, Any]]:
    """Draws the effects on one scale, the most important axis first."""
    ends = [
        end
        for effect in effects
        for standing in effect.standings
        if (found := standing.estimate) is not None
        for end in (found.mean, found.low, found.high)
        if end is not None and math.isfinite(end)
    ]
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


def _cost(report: Report, measure: str) -> str | None:
    """Draws the objective over the seconds; None with fewer than three configurations."""
    points = {
        (seconds, mean): SEPARATOR.join(group.labels)
        for group in report.groups[:MAX_LINES]
        if (seconds := group.mean("seconds")) is not None
        and (mean := group.mean("objective")) is not None
        and math.isfinite(mean)
    }
    if len(points) < 3 or not _has_one_dataset(report):
        return None
    best = dict(list(points.items())[:1])
    return figures.data_uri(scatter_figures.cost_figure(list(points), best, measure))


def _bars(shares: Sequence[VarianceShare], importance: Importance | None) -> str | None:
    """Draws the importance of the axes."""
    if shares:
        known = {each.axis: each.share or 0.0 for each in shares}
        told = [each.axis for each in shares if each.share is not None and each.p < SIGNIFICANT]
        return figures.data_uri(scatter_figures.importance_figure(known, told, {}))
    if importance is None:
        return None
    told = list(importance.beyond_noise)
    drawn = scatter_figures.importance_figure(importance.shares, told, importance.borders)
    return figures.data_uri(drawn)


def _states_by_axis(report: Report) -> list[dict[str, Any]]:
    """Counts the states of the runs of each value of an axis; none if all runs are complete."""
    states = sorted({run.tags.get("state", State.RUNNING) for run in report.runs} - {State.COMPLETE})
    if not states:
        return []
    rows = [
        {
            "axis": axis,
            "value": label(value),
            "counts": [counts[state] for state in (State.COMPLETE, *states)],
        }
        for axis in report.axes
        for value, counts in _counted(report.runs, axis)
    ]
    return [{"axis": "axis", "value": "value", "counts": [State.COMPLETE, *states]}, *rows]


def _counted(runs: Sequence[RunRecord], axis: str) -> list[tuple[str, Counter[str]]]:
    """Returns how many runs of each value of an axis have each state."""
    found: dict[str, Counter[str]] = {}
    for run in runs:
        if axis in run.tags:
            found.setdefault(run.tags[axis], Counter())[run.tags.get("state", State.RUNNING)] += 1
    return sorted(found.items(), key=lambda item: natural_sort_key([item[0]]))


def _has_one_dataset(report: Report) -> bool:
    """Whether all groups share a data set: an average over an axis must not be over data sets too."""
    return len(by_dataset(report.groups)) == 1


def _interactions(report: Report, measure: str) -> list[dict[str, Any]]:
    if not _has_one_dataset(report):
        return []
    complete = [run for group in report.groups for run in group.runs]
    return [
        {
            "axes": " × ".join(each.axes),
            "share": _share_text(each.share),
            "p": "-" if each.p is None else p_text(each.p).removeprefix("p "),
            "image": figures.data_uri(figures.interaction_figure(each, measure))
            if place < MAX_PLOTTED
            else None,
        }
        for place, each in enumerate(interactions(complete, report.axes, report.varied))
    ]


def _share_text(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _tuned(isolation: Isolation, measure: str) -> dict[str, str]:
    return {
        "axis": isolation.axis,
        "image": figures.data_uri(figures.isolation_figure(isolation, measure)),
    }


def _tuned_to(report: Report) -> dict[str, Any]:
    """Returns a row for each combination of a sweep with its tuned values."""
    is_listed = report.tunings and report.is_whole_sweep
    tuned = tuned_values(report.groups, report.parents)[:MAX_ROWS] if is_listed else []
    nuisance = list(tuned[0].values) if tuned else []
    return {
        "tuned_columns": [*report.axes, *nuisance],
        "tuned": [[*each.labels, *each.values.values()] for each in tuned],
    }


def _parallel(report: Report, measure: str) -> str | None:
    """Draws the best thousand groups; None for a single axis."""
    means = [(group.labels, group.mean("objective")) for group in report.groups[:MAX_LINES]]
    rows = [(values, mean) for values, mean in reversed(means) if mean is not None and mean == mean]
    if len(report.axes) < 2 or len(rows) < 2:
        return None
    levels = [
        sorted({values[place] for values, _ in rows}, key=lambda value: natural_sort_key([value]))
        for place in range(len(report.axes))
    ]
    return figures.data_uri(figures.parallel_figure(report.axes, levels, rows, measure))


def _importance(report: Report) -> Importance | None:
    rows = [
        ({axis: run.tags[axis] for axis in report.axes if axis in run.tags}, mean)
        for group in report.groups
        for run in group.runs[:1]
        if (mean := group.mean("objective")) is not None
    ]
    return importance_of(rows, maximizes(report.groups))


def _others(report: Report) -> dict[str, Any]:
    """Returns the runs that failed, were pruned or still run, with the reasons."""
    found = [run for run in report.runs if run.tags.get("state") != State.COMPLETE]
    shown = [
        {
            "name": run.name,
            "state": run.tags.get("state", State.RUNNING),
            "configuration": " ".join(
                f"{axis}={label(value)}"
                for axis, value in zip(report.axes, values_of(run, report.axes), strict=True)
            ),
            "reason": run.tags.get("reason", ""),
        }
        for run in found[:MAX_OTHERS]
    ]
    return {"others": shown, "hidden_others": max(0, len(found) - MAX_OTHERS)}


def _fairness(report: Report, has_answer: bool) -> list[str]:
    """Returns the lines on fairness; the answer on top of the page has the winner's scores."""
    others = others_line(report.candidates, report.runs)
    tests = ([f"{others}."] if others else []) if has_answer else test_lines(report.candidates, report.runs)
    epochs, score, images = epochs_line(report), score_line(report), images_line(report)
    return [
        *([epochs] if epochs else []),
        *([score] if score else []),
        CHOSEN,
        *tests,
        *([images] if images else []),
        *(f"Note: {line}." for line in caveats(report)),
        f"Training took {duration_text(report.seconds)} in all, summed over the workers.",
    ]


def _origin(parent: RunRecord) -> dict[str, str]:
    commit = parent.tags.get("mlflow.source.git.commit")
    dirty = " with changes" if parent.tags.get("git.dirty") == "true" else ""
    code = f"; git {commit[:10]}{dirty}" if commit else ""
    return {
        "command": parent.tags.get("command", "its command is not recorded"),
        "sweep": parent.tags.get("sweep", parent.name),
        "versions": f"{parent.tags.get('versions', 'versions are not recorded')}{code}",
    }
