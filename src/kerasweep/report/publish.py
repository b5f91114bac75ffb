"""Writes a report's page into a file, and into the parent run of the sweep that it is about."""

from pathlib import Path

from kerasweep.config.search import TrackingConf
from kerasweep.report.files import write_whole
from kerasweep.report.page import MAX_CURVES, Curves, label_of, render_page
from kerasweep.report.reading import Report
from kerasweep.tracking.histories import histories
from kerasweep.tracking.writer import open_tracker

EPOCH_METRIC = "val_accuracy"
ARTIFACT = "report.html"


def write_page(cfg: TrackingConf, report: Report, path: Path, command: str) -> None:
    """A single sweep's run keeps it too, and the verdict. Raises ConfigError for a file that cannot be."""
    page = render_page(
        report, path.stem.removeprefix("compare-"), command, _curves(cfg, report), EPOCH_METRIC
    )
    write_whole(path, page, "html")
    if report.is_whole_sweep:
        tracker, parent = open_tracker(cfg), report.parents[0].run_id
        tracker.log_text(parent, page, ARTIFACT)
        for judged in report.judged:
            tracker.set_tags(parent, {"verdict": judged.verdict.verdict})


def _curves(cfg: TrackingConf, report: Report) -> Curves:
    """Of the best groups, how their runs went; a single epoch is no way."""
    best = report.groups[:MAX_CURVES]
    found = histories(cfg, [run.run_id for group in best for run in group.runs], EPOCH_METRIC)
    curves = {
        label_of(group, report.axes): [found[run.run_id] for run in group.runs if found[run.run_id]]
        for group in best
    }
    longest = max((len(seed) for seeds in curves.values() for seed in seeds), default=0)
    return {label: seeds for label, seeds in curves.items() if seeds} if longest > 1 else {}
