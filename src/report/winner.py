"""What the winner does on the test set, which nothing was chosen by."""

from collections.abc import Sequence

from scipy.stats import binomtest

from src.report.groups import Group, best_run
from src.report.statistics import LEVEL
from src.tracking.run_record import RunRecord

TESTED = {"test_accuracy", "test_images"}


def winner_run(groups: Sequence[Group]) -> RunRecord | None:
    """The best run of the best group that was held against the test set; None where none was.

    groups: the best one first. Of several with the best mean it is the first that was tested.
    """
    if not groups:
        return None
    best = groups[0].mean("objective")
    equals = [group for group in groups if group.mean("objective") == best]
    tested = [[run for run in group.runs if set(run.metrics) >= TESTED] for group in equals]
    return next((best_run(runs) for runs in tested if runs), None)


def winner_line(groups: Sequence[Group]) -> str | None:
    """The test score of `winner_run` with its interval; None where none was measured.

    Wilson (1927), Probable inference, https://doi.org/10.1080/01621459.1927.10502953: what other test
    images of the same kind would have said. The winner's validation is the best of many, and flatters.
    """
    run = winner_run(groups)
    if run is None:
        return None
    accuracy, images = run.metrics["test_accuracy"], round(run.metrics["test_images"])
    found = binomtest(round(accuracy * images), images).proportion_ci(LEVEL, method="wilson")
    score = f"accuracy {accuracy:.4f} ({found.low:.4f} to {found.high:.4f}), {images:,} images"
    return f"on the test set: {score}, run {run.run_id[:8]}"


def test_line(groups: Sequence[Group], runs: Sequence[RunRecord]) -> str:
    """What is known of the test set, of the winner or of others."""
    line = winner_line(groups)
    count = sum(set(run.metrics) >= TESTED for run in runs)
    if line is not None:
        return f"The winner {line}." if count == 1 else f"The winner {line}; {count} runs were tested in all."
    if count:
        return f"The winner was not held against the test set; {count} of the other runs were."
    return "No run was held against the test set."
