"""What the winner does on the test set, which nothing was chosen by."""

from scipy.stats import binomtest

from src.report.groups import best_run
from src.report.reading import Report
from src.report.statistics import LEVEL

TESTED = {"test_accuracy", "test_images"}


def winner_line(report: Report) -> str | None:
    """The test score of the best group's network with its interval; None where none was measured.

    Of several groups with the best mean it is the first that was tested.
    Wilson (1927), Probable inference, https://doi.org/10.1080/01621459.1927.10502953: what other test
    images of the same kind would have said. The winner's validation is the best of many, and flatters.
    """
    if not report.groups:
        return None
    best = report.groups[0].mean("objective")
    equals = [group for group in report.groups if group.mean("objective") == best]
    tested = [[run for run in group.runs if set(run.metrics) >= TESTED] for group in equals]
    if not any(tested):
        return None
    run = best_run(next(runs for runs in tested if runs))
    accuracy, images = run.metrics["test_accuracy"], round(run.metrics["test_images"])
    found = binomtest(round(accuracy * images), images).proportion_ci(LEVEL, method="wilson")
    score = f"accuracy {accuracy:.4f} ({found.low:.4f} to {found.high:.4f}), {images:,} images"
    return f"on the test set: {score}, run {run.run_id[:8]}"


def test_line(report: Report) -> str:
    """What is known of the test set, of the winner or of others."""
    line = winner_line(report)
    count = sum(set(run.metrics) >= TESTED for run in report.runs)
    if line is not None:
        return f"The winner {line}." if count == 1 else f"The winner {line}; {count} runs were tested in all."
    if count:
        return f"The winner was not held against the test set; {count} of the other runs were."
    return "No run was held against the test set."
