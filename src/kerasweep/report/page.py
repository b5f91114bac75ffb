"""Renders a report as one self-contained HTML page, without network access or other files."""

from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from kerasweep.report import figures
from kerasweep.report.afterwards import WINNER, Step
from kerasweep.report.answer import answers_of
from kerasweep.report.fairness import caveats, epochs_line, images_line, score_line
from kerasweep.report.figures import Curves
from kerasweep.report.groups import measure_of
from kerasweep.report.page_figures import (
    SEPARATOR,
    draw_cost,
    draw_effects,
    draw_importance,
    draw_interactions,
    draw_trade_off,
    draw_tuned,
    effects_of,
    has_one_dataset,
    importance_of_report,
    share_text,
    shares_of,
)
from kerasweep.report.parallel import parallel_coordinates
from kerasweep.report.reading import Judged, Report
from kerasweep.report.statistics import p_text
from kerasweep.report.summary import others_line, test_lines
from kerasweep.report.tables import HEADINGS, MAX_ROWS, has_seeds, headings, notes, shown_cells, tally
from kerasweep.report.together import with_joined_axes
from kerasweep.report.trade_off import TradeOff, trade_off_of
from kerasweep.report.tuning import tuned_values
from kerasweep.report.unfinished_runs import states_by_axis, unfinished_rows
from kerasweep.report.verdicts import finding_lines
from kerasweep.terminal import duration_text
from kerasweep.tracking.run_record import RunRecord

CHOSEN = "Validation chooses the best configuration, so its score is optimistic."
ID_DIGITS = 8


def render_page(
    report: Report,
    title: str,
    command: str,
    curves: Curves,
    training_curves: Curves,
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
        training_curves: The same of the training images.
        metric: The metric of the curves.
        steps: The winner, and what was done with it.
        confusion: The confusion matrix of the winner, a PNG image.
    """
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        files("kerasweep.report").joinpath("page.html").read_text(encoding="utf-8")
    )
    measure = measure_of(report.groups)
    joined = with_joined_axes(report)
    shares = shares_of(joined)
    importance = None if shares else importance_of_report(joined)
    order = [share.axis for share in shares] or list(importance.shares if importance else ())
    trade_off = trade_off_of(report.groups) if has_one_dataset(report) else None
    answers, effects = answers_of(report, command), effects_of(joined)
    links = {step.result_run: step.link for step in steps if step.kind == WINNER}
    return template.render(
        title=title,
        subtitle=_subtitle(report),
        question=_question(report.parents[0]) if len(report.parents) == 1 else None,
        verdicts=[_verdict(judged, measure) for judged in report.judged],
        answers=[(answer, links.get(answer.run_id)) for answer in answers],
        trade_off=draw_trade_off(report, trade_off),
        **_ranking(report, measure, trade_off),
        effects=draw_effects(effects, order, measure),
        unbalanced=[effect.axis for effect in effects if not effect.is_balanced],
        interactions=draw_interactions(joined, measure),
        tunings=[
            draw_tuned(isolation, measure) for tuning in report.tunings for isolation in tuning.isolations
        ],
        **_tuned_to(report),
        curves=figures.data_uri(figures.curves_figure(curves, metric, training_curves)) if curves else None,
        curves_shown=len(curves),
        dashed=bool(training_curves),
        groups=len(report.groups),
        parallel=parallel_coordinates(report, measure),
        cost=draw_cost(report, measure),
        importance=importance,
        shares=[(share.axis, share_text(share.share), p_text(share.p)) for share in shares],
        bars=draw_importance(shares, importance),
        confusion=None if confusion is None else f"data:image/png;base64,{b64encode(confusion).decode()}",
        **unfinished_rows(report),
        states=states_by_axis(report),
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


def _tuned_to(report: Report) -> dict[str, Any]:
    """Returns a row for each combination of a sweep with its tuned values."""
    is_listed = report.tunings and report.is_whole_sweep
    tuned = tuned_values(report.groups, report.parents)[:MAX_ROWS] if is_listed else []
    nuisance = list(tuned[0].values) if tuned else []
    return {
        "tuned_columns": [*report.axes, *nuisance],
        "tuned": [[*row.labels, *row.values.values()] for row in tuned],
    }


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
