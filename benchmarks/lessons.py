"""Runs the studies of sweeps/study on real images, and writes docs/lessons.md from their results.

python -m benchmarks.lessons FOLDER [NAME …]   train these studies, or all, on the Fashion-MNIST in FOLDER
python -m benchmarks.lessons                   only write docs/lessons.md again from docs/lessons/*.csv
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from benchmarks import PYTHONPATH, ROOT
from benchmarks.studies import content, names
from kerasweep.config.search import ClaimConf
from kerasweep.report.figures import ranking_figure
from kerasweep.report.files import CSV_METRICS, CSV_PARAMS
from kerasweep.report.groups import Group, group_runs, measure_of
from kerasweep.report.page import SEPARATOR
from kerasweep.report.standings import Standing, ranked, standings
from kerasweep.report.summary import winner_lines
from kerasweep.report.tables import cells, notes
from kerasweep.report.verdicts import finding_lines, verdict_of
from kerasweep.terminal import duration_text
from kerasweep.tracking.run_record import RunRecord

LESSONS = ROOT / "docs" / "lessons"
DATA = ("data=fashion_mnist", "data.limit=3000")
# Overrides that give each study five seeds.
MORE = {"quickstart": ("study.repeats=5",), "full_search": ("study.repeats=5",)}
MAX_SHOWN = 8
COLUMNS = ("validation accuracy", "95 % interval", "vs. best", "seconds", "parameters")
OWN_COLUMNS = {"run_id", "name", "state", "dataset", *CSV_PARAMS, *CSV_METRICS}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lessons", description="Measure the lessons.")
    parser.add_argument("images", nargs="?", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("studies", nargs="*", choices=[*names(), []], help="which studies (default: all)")
    arguments = parser.parse_args()
    if arguments.images is not None:
        for name in arguments.studies or names():
            train(name, arguments.images.resolve())
    write()


def train(name: str, images: Path) -> None:
    """Prints the cost of a study, runs it, and saves its runs as CSV.

    Args:
        name: The study.
        images: The folder with Fashion-MNIST's IDX files.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [*_overrides(name), f"data.path={images}"]
        _run(folder, "src.train", "-m", *command, "study.dry_run=true")
        _run(folder, "src.train", "-m", *command)
        _run(folder, "src.compare", f"study={name}", "csv=runs.csv")
        LESSONS.mkdir(exist_ok=True)
        shutil.copyfile(Path(folder, "runs.csv"), LESSONS / f"{name}.csv")
    print(f"{name}: done", flush=True)


def _overrides(name: str) -> list[str]:
    return [f"study={name}", *DATA, *MORE.get(name, ())]


def _run(folder: str, module: str, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, env=environment, check=True)


def write() -> None:
    """Writes docs/lessons.md, and a figure beside each CSV."""
    found = [name for name in names() if (LESSONS / f"{name}.csv").exists()]
    (ROOT / "docs" / "lessons.md").write_text(page(found), encoding="utf-8")
    for name in found:
        runs, axes = read(name)
        groups, known = standing_of(runs, axes)
        labels = [SEPARATOR.join(group.labels) for group in groups]
        measure = measure_of(groups)
        figure = ranking_figure(labels, known, measure, SEPARATOR.join(axes))
        figure.savefig(LESSONS / f"{name}.png", dpi=100, metadata={"Software": None})


def page(found: Sequence[str]) -> str:
    """Returns the text of docs/lessons.md, a section per study."""
    data = " ".join(DATA)
    introduction = (
        "# Lessons, measured\n\n"
        f"Each study of [sweeps/study](../sweeps/README.md) on 3,000 images of Fashion-MNIST (`{data}`), of "
        "which 600 validate, with five seeds per configuration. `python -m benchmarks.lessons` writes this "
        "page from the runs in `docs/lessons`, a CSV per study. A verdict holds for these networks, images "
        "and epochs; *not decided by these runs* is a result too.\n"
    )
    return "\n".join([introduction, *(section(name) for name in found)])


def section(name: str) -> str:
    """Returns a study's question, verdict with numbers, ranking, figure, and surprises."""
    study = content(name)
    runs, axes = read(name)
    groups, known = standing_of(runs, axes)
    networks = [run for group in groups for run in group.runs]
    seconds = sum(run.metrics["seconds"] for run in networks)
    lines = [f"## {study['question']}", "", f"`python -m src.train -m {' '.join(_overrides(name))}`", ""]
    if study.get("claim"):
        schema = OmegaConf.structured(ClaimConf)
        claim = cast(ClaimConf, OmegaConf.merge(schema, OmegaConf.create(study["claim"])))
        verdict = verdict_of(claim, runs, axes)
        lines += [f"> {claim.text}", "", f"**{verdict.decision.capitalize()}.**", ""]
        lines += [
            f"{'  ' if line.startswith(' ') else ''}- {line.strip()}"
            for line in finding_lines(verdict, measure_of(groups))
        ]
        lines.append("")
    lines += [*notes(known), "", _table(groups, known, axes), "", f"![{name}](lessons/{name}.png)", ""]
    lines.append(f"{len(networks)} networks, {duration_text(seconds)} of training.")
    lines += _winner(groups)
    surprise = _surprises().get(name)
    return "\n".join([*lines, "", surprise.strip(), ""] if surprise else [*lines, ""])


def _winner(groups: Sequence[Group]) -> list[str]:
    """Returns lines with the test and validation score of the best network."""
    return [line for found in winner_lines(groups) for line in ("", f"{found[0].upper()}{found[1:]}.")]


def _surprises() -> dict[str, str]:
    """Returns the surprises by study: the only part that is written by hand."""
    path = LESSONS / "surprises.yaml"
    return {str(name): text for name, text in OmegaConf.load(path).items()} if path.exists() else {}


def read(name: str) -> tuple[list[RunRecord], list[str]]:
    """Reads a study's runs and axes."""
    with open(LESSONS / f"{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    axes = [column for column in rows[0] if column not in OWN_COLUMNS]
    return [_record(row, axes) for row in rows], axes


def standing_of(runs: Sequence[RunRecord], axes: Sequence[str]) -> tuple[list[Group], list[Standing]]:
    """Returns the ranked configurations of the runs, with their standings."""
    groups = group_runs(runs, axes)
    pairs = ranked(groups, standings(groups, axes))
    return [group for group, _ in pairs], [standing for _, standing in pairs]


def _record(row: dict[str, str], axes: Sequence[str]) -> RunRecord:
    tags = {key: row[key] for key in ("state", "dataset", *axes) if row[key]}
    metrics = {key: float(row[key]) for key in CSV_METRICS if row.get(key)}
    objective = {"objective": "val_accuracy maximize"}
    params = {key: row[column] for column, key in CSV_PARAMS.items() if row.get(column)}
    return RunRecord(row["run_id"], row["name"], "FINISHED", tags | objective, params, metrics, 0.0, 0.0)


def _table(groups: Sequence[Group], known: Sequence[Standing], axes: Sequence[str]) -> str:
    """Returns a table of the best eight configurations and the last one."""
    shown = list(zip(groups, known, strict=True))
    shown = shown if len(shown) <= MAX_SHOWN + 1 else [*shown[:MAX_SHOWN], shown[-1]]
    lines = [
        f"| {' | '.join([*axes, *COLUMNS])} |",
        "| --- " * (len(axes) + len(COLUMNS)) + "|",
    ]
    lines += [f"| {' | '.join([*group.labels, *_cells(group, standing)])} |" for group, standing in shown]
    return "\n".join(lines)


def _cells(group: Group, standing: Standing) -> list[str]:
    mean, interval, _, beside, _, parameters, seconds, _ = cells(group, standing)
    return [mean, interval, beside, seconds, parameters]


if __name__ == "__main__":
    main()
