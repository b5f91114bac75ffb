"""Describes a comparison as plain data: a row for each configuration, the verdicts and the winners."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kerasweep.report.fairness import caveats
from kerasweep.report.groups import Group, best_run, by_dataset, dataset_of, measure_of, objective_of
from kerasweep.report.reading import Judged, Report
from kerasweep.report.score import recorded_score
from kerasweep.report.standings import Standing
from kerasweep.report.summary import winner_run
from kerasweep.report.verdicts import finding_lines
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord


@dataclass(frozen=True)
class ComparedGroup:
    """A configuration, or the runs that share the values of `group_by`, in the order of the ranking."""

    values: Mapping[str, str]  # by axis; `-` for an axis that does not apply
    dataset: str
    mean: float | None  # of the first objective over the seeds
    interval: tuple[float, float] | None  # of the mean, 95 %; None with a single seed
    seeds: int
    difference: float | None  # the best mean minus this one, in the direction of the objective: 0 or more
    p: float | None  # of no difference from the best, after Holm; None for the best and without a test
    is_best: bool
    is_worse: bool  # significantly
    untested: str | None  # why it was not tested
    runs: int
    parameters: float | None  # of the network
    seconds: float | None  # of training, the mean
    best_run: str  # MLflow's id


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict of a sweep's runs on its claim."""

    sweep: str
    claim: str
    decision: str  # supported, contradicted, or not decided by these runs
    findings: tuple[str, ...]  # a sentence for each comparison of the claim


@dataclass(frozen=True)
class Winner:
    """The best run of a data set that was tested."""

    dataset: str
    run_id: str
    value: float  # the first objective
    test_accuracy: float
    test_interval: tuple[float, float]  # Wilson's 95 % interval, for other images of the same kind
    test_images: int


@dataclass(frozen=True)
class ComparisonResult:
    """Recorded runs, grouped, ranked and judged."""

    objective: str  # with its direction, such as `val_accuracy maximize`
    measure: str  # the first objective's name
    axes: tuple[str, ...]  # by which the groups are made
    states: Mapping[str, int]  # the number of runs by their state
    groups: tuple[ComparedGroup, ...]  # the best first, by data set
    verdicts: tuple[ClaimVerdict, ...]
    winners: tuple[Winner, ...]  # one per data set with a tested run
    notes: tuple[str, ...]  # caveats, such as runs that are missing
    csv: str | None  # the file with all runs, None if it was not written
    html: str | None  # the page, None if it was not written


def result_of(report: Report, csv: Path | None = None, html: Path | None = None) -> ComparisonResult:
    """Returns a report as plain data.

    Args:
        report: The report.
        csv: The file with its runs, if it was written.
        html: Its page, if it was written.
    """
    measure = measure_of(report.groups)
    pairs = zip(report.groups, report.standings, strict=True)
    found = [winner_run(groups) for groups in by_dataset(report.candidates).values()]
    return ComparisonResult(
        objective=objective_of(report.groups),
        measure=measure,
        axes=report.axes,
        states=dict(Counter(run.tags.get("state", str(State.RUNNING)) for run in report.runs)),
        groups=tuple(_group(report, group, standing) for group, standing in pairs),
        verdicts=tuple(_verdict(judged, measure) for judged in report.judged),
        winners=tuple(_winner(run) for run in found if run is not None),
        notes=tuple(caveats(report)),
        csv=None if csv is None else str(csv.absolute()),
        html=None if html is None else str(html.absolute()),
    )


def _group(report: Report, group: Group, standing: Standing) -> ComparedGroup:
    estimate, against_best = standing.estimate, standing.against_best
    has_interval = estimate is not None and estimate.low is not None and estimate.high is not None
    return ComparedGroup(
        values=dict(zip(report.axes, group.values, strict=True)),
        dataset=dataset_of(group),
        mean=estimate.mean if estimate else group.mean("objective"),
        interval=(estimate.low, estimate.high) if has_interval else None,  # type: ignore[union-attr,arg-type]
        seeds=estimate.count if estimate else 0,
        difference=against_best.behind if estimate else None,
        p=against_best.p,
        is_best=standing.is_best,
        is_worse=against_best.is_worse,
        untested=standing.untested,
        runs=len(group.runs),
        parameters=group.mean("parameters"),
        seconds=group.mean("seconds"),
        best_run=best_run(group.runs).run_id,
    )


def _verdict(judged: Judged, measure: str) -> ClaimVerdict:
    findings = tuple(finding_lines(judged.verdict, measure))
    return ClaimVerdict(judged.sweep, judged.claim.text, judged.verdict.decision, findings)


def _winner(run: RunRecord) -> Winner:
    score = recorded_score(run)
    assert score is not None  # only tested runs win
    dataset, value = run.tags.get("dataset", "?"), run.metrics["objective"]
    return Winner(dataset, run.run_id, value, score.accuracy, score.interval, score.images)
