"""What could bias a comparison, and is said beside it."""

from src.report.groups import mixed_sweeps
from src.report.reading import Report
from src.tracking.selection import SEED


def caveats(report: Report) -> list[str]:
    """A line for each; none where configurations were compared like with like."""
    complete = [run for group in report.groups for run in group.runs]
    epochs = {run.params["training.epochs"] for run in complete if "training.epochs" in run.params}
    pruned = [run for run in report.runs if run.tags.get("state") == "pruned"]
    mixed = mixed_sweeps(report.groups)
    lines = []
    if mixed:
        lines.append(f"means are over runs of {', '.join(mixed)}; study=NAME takes one of them")
    if len(epochs) > 1 and "epochs" not in report.axes:
        lines.append(
            f"runs were trained for different numbers of epochs: {', '.join(sorted(epochs, key=int))}"
        )
    if pruned:
        lines.append(
            f"{len(pruned)} pruned {_runs(len(pruned))} no part of any mean, which flatters what lost early"
        )
    failed = sorted(
        {run.tags.get("trial", run.name) for run in report.runs if run.tags.get("state") == "failed"}
    )
    if failed and any(SEED in run.params for run in complete):
        lines.append(f"failed seeds are no part of any mean: trial {', '.join(failed[:10])}")
    return lines


def _runs(count: int) -> str:
    return "run is" if count == 1 else "runs are"
