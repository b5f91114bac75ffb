"""Writes the lines below a comparison's table: counts, caveats, verdicts, and the winner's test score."""

from collections.abc import Sequence

from kerasweep.report.fairness import SAME_IMAGES, caveats, images_line
from kerasweep.report.groups import Group, best_run, by_dataset, measure_of
from kerasweep.report.reading import Report
from kerasweep.report.score import TESTED, recorded_score
from kerasweep.report.statistics import rounded
from kerasweep.report.tables import notes, tally
from kerasweep.report.verdicts import verdict_lines
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import read_objectives


def winner_run(groups: Sequence[Group]) -> RunRecord | None:
    """Returns the best tested run of the best group, or None if it has none.

    Args:
        groups: Groups of one data set, the best first. Of several with the best mean, the first that was
            tested counts.
    """
    if not groups:
        return None
    means = [group.mean("objective") for group in groups]
    equals = [
        group
        for group, mean in zip(groups, means, strict=True)
        if mean is not None and means[0] is not None and rounded(mean) == rounded(means[0])
    ]
    tested = [[run for run in group.runs if set(run.metrics) >= TESTED] for group in equals]
    return next((best_run(runs) for runs in tested if runs), None)


def winner_lines(groups: Sequence[Group]) -> list[str]:
    """Returns a line per data set with the winner's test and validation score, if they were measured."""
    datasets = by_dataset(groups)
    found = {dataset: winner_run(own) for dataset, own in datasets.items()}
    return [
        f"the winner{f' on {dataset}' if len(datasets) > 1 else ''}, {_scores(run, _rivals(groups, run))}"
        for dataset, run in found.items()
        if run is not None
    ]


def _rivals(groups: Sequence[Group], run: RunRecord) -> int:
    """Returns the number of runs of the run's configuration."""
    return next(len(group.runs) for group in groups if run in group.runs)


def score_text(run: RunRecord) -> str:
    """Returns the test score with Wilson's interval, an empty text if the run was not tested."""
    score = recorded_score(run)
    return "" if score is None else f"accuracy {score} on {score.images:,} images"


def _scores(run: RunRecord, rivals: int) -> str:
    """Returns the scores with Wilson's interval for other test images of the same kind."""
    measure, _ = read_objectives(run.tags.get("objective", "objective"))[0]
    value = run.metrics["objective"]
    chosen_by = f"chosen by its {measure}, {value:.6g}"
    if measure.startswith("val_"):
        of_several = f", the best of {rivals} runs" if rivals > 1 else ""
        chosen_by = f"chosen by validation with {measure} {value:.4f}{of_several}"
    return f"run {run.run_id[:8]}, on the test set: {score_text(run)}; {chosen_by}"


def test_lines(groups: Sequence[Group], runs: Sequence[RunRecord]) -> list[str]:
    """Returns sentences on test scores.

    Args:
        groups: The candidates for the winner, the best first; empty if the runs were picked.
        runs: All runs of the report.
    """
    lines, others = winner_lines(groups), others_line(groups, runs)
    if not lines and not others:
        return ["No run was evaluated on the test set."]
    winner = ["the winner was not evaluated on the test set"] if groups and not lines else []
    sentences = [*lines, *winner, *([others] if others else [])]
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]


def others_line(groups: Sequence[Group], runs: Sequence[RunRecord]) -> str | None:
    """Counts the other tested runs, such as earlier winners of a sweep that grew; None without any."""
    winners = len(winner_lines(groups))
    count = sum(set(run.metrics) >= TESTED for run in runs) - winners
    if not count:
        return None
    other = "other " if winners else ""
    return f"{count} {other}run{'s were' if count > 1 else ' was'} evaluated on the test set"


def lines_of(report: Report) -> list[str]:
    """Returns the lines below the table: notes, counts, caveats, verdicts, and the winner's test score."""
    count = len(report.runs)
    others = others_line(report.candidates, report.runs)
    return [
        *(notes(report.standings) if report.groups else ()),
        f"{count} {'run' if count == 1 else 'runs'}: {tally(report.runs)}",
        *(f"note: {line}" for line in caveats(report)),
        *(
            line
            for judged in report.judged
            for line in verdict_lines(judged.claim, judged.verdict, judged.sweep, measure_of(report.groups))
        ),
        *(
            [f"note: {SAME_IMAGES[0].lower()}{SAME_IMAGES[1:-1]}"]
            if report.judged and images_line(report) == SAME_IMAGES
            else ()
        ),
        *winner_lines(report.candidates),
        *([f"note: {others}"] if others else ()),
    ]
