"""Writes the files of a comparison, the CSV and the page, each whole or not at all."""

import csv
import errno
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasweep.config import metrics
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.report.afterwards import WINNER, Step, read_steps
from kerasweep.report.groups import Group, natural_sort_key, values_of
from kerasweep.report.reading import EPOCH_METRIC, Report
from kerasweep.report.repetition import DATA_SEED, SEED, SPLIT_SEED, VALIDATION
from kerasweep.tracking.reader import download, histories, list_artifacts
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import POOL_IMAGES, SCORE, SPLIT, VALIDATION_IMAGES
from kerasweep.tracking.writer import open_tracker

ARTIFACT = "report.html"
CONFUSION = "figures/confusion_matrix.png"
MAX_CURVES = 5
# The final metrics in the CSV.
CSV_METRICS = (
    *("objective", "max_val_accuracy", "val_accuracy", "best_epoch", "parameters"),
    *("seconds", "epoch_seconds", "cpu_seconds", "epoch_cpu_seconds"),
    *("generalization_gap", "best_epoch_gain", "epoch_variability", "test_accuracy", "test_images"),
    *(VALIDATION_IMAGES, POOL_IMAGES),
)
CSV_TAGS = ("state", "dataset", SPLIT, SCORE)
# The params in the CSV that tell repeats apart, by their columns.
CSV_PARAMS = {"seed": SEED, "data_seed": DATA_SEED, "split_seed": SPLIT_SEED, "validation_split": VALIDATION}


def write_page(cfg: TrackingConf, report: Report, path: Path, command: str) -> None:
    """Writes the page; a report on one whole sweep is also an artifact of its run, with the verdict as a tag.

    Args:
        cfg: The database with the epochs of the runs.
        report: The content of the page.
        path: The HTML file. Its stem, without `compare-`, is the title.
        command: The command that makes this page again.

    Raises:
        ConfigError: The file cannot be written.
        TrackingError: The database cannot be read or written.
    """
    page = page_of(cfg, report, path.stem.removeprefix("compare-"), command)
    write_whole(path, page, "html")
    if report.is_whole_sweep:
        tracker, parent = open_tracker(cfg), report.parents[0].run_id
        tracker.log_text(parent, page, ARTIFACT)
        for judged in report.judged:
            tracker.set_tags(parent, {"verdict": judged.verdict.decision})


def page_of(cfg: TrackingConf, report: Report, title: str, command: str) -> str:
    """Returns the page of a report as HTML.

    Args:
        cfg: The database with the epochs of the runs.
        report: The content of the page.
        title: Its title.
        command: The command that makes it again.
    """
    from kerasweep.report.page import render_page  # matplotlib is not imported before the table is printed

    curves, steps = _curves(cfg, report, EPOCH_METRIC), read_steps(cfg, report)
    trained = _curves(cfg, report, EPOCH_METRIC.removeprefix(metrics.VALIDATION))
    return render_page(report, title, command, curves, trained, EPOCH_METRIC, steps, _confusion(cfg, steps))


def _confusion(cfg: TrackingConf, steps: Sequence[Step]) -> bytes | None:
    """Returns the confusion matrix of the only winner, PNG; None without one."""
    winners = [step.result_run for step in steps if step.kind == WINNER]
    if len(winners) != 1 or CONFUSION not in list_artifacts(cfg, winners[0], CONFUSION.partition("/")[0]):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return download(cfg, winners[0], CONFUSION, Path(folder)).read_bytes()


def _curves(cfg: TrackingConf, report: Report, metric: str) -> dict[str, list[list[float]]]:
    """Returns the learning curves of the best groups; none if every run has a single epoch."""
    best = report.groups[:MAX_CURVES]
    accuracies = histories(cfg, [run.run_id for group in best for run in group.runs], metric)
    curves = {
        _label(group, report.axes): [accuracies[run.run_id] for run in group.runs if accuracies[run.run_id]]
        for group in best
    }
    longest = max((len(curve) for repeats in curves.values() for curve in repeats), default=0)
    return {label: repeats for label, repeats in curves.items() if repeats} if longest > 1 else {}


def _label(group: Group, axes: Sequence[str]) -> str:
    return " ".join(f"{axis}={value}" for axis, value in zip(axes, group.labels, strict=True))


def write_csv(path: Path, runs: Sequence[RunRecord], axes: Sequence[str]) -> None:
    """Writes a row per run: id, name, state, data set, split, axes, seeds and final metrics.

    Args:
        path: The file. An older one is replaced.
        runs: In any order; the rows are sorted by the values of the axes.
        axes: The tags that are columns.

    Raises:
        ConfigError: The file cannot be written.
    """
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(run_rows(runs, axes))
    write_whole(path, buffer.getvalue(), "csv")


def run_rows(runs: Sequence[RunRecord], axes: Sequence[str]) -> list[list[Any]]:
    """Returns the heading and the rows of the CSV, see `write_csv`."""
    tags = list(dict.fromkeys((*CSV_TAGS, *axes)))
    rows = [
        [
            run.run_id,
            run.name,
            *(run.tags.get(tag, "") for tag in tags),
            *(run.params.get(key, "") for key in CSV_PARAMS.values()),
            *(run.metrics.get(measure, "") for measure in CSV_METRICS),
        ]
        for run in sorted(runs, key=lambda run: natural_sort_key(values_of(run, axes)))
    ]
    return [["run_id", "name", *tags, *CSV_PARAMS, *CSV_METRICS], *rows]


def write_whole(path: Path, text: str, key: str) -> None:
    """Writes a text under a temporary name and renames it, so that no reader sees half a file.

    Args:
        path: The file. A link stays a link.
        text: The whole content.
        key: The config key that named the file, for the message.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        place = path.resolve()  # a link would be replaced by the rename
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if place.exists() and not place.is_file():
            raise OSError(errno.EINVAL, "It is not a regular file")
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.new")
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(place)
    except OSError as error:
        raise ConfigError(
            f"{key}={path} cannot be written: {error.strerror}. Name another file, as in {key}=runs.{key}."
        ) from error
