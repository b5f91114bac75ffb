"""Writes docs/lessons.md and its figures from the runs of the lessons in docs/lessons."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from benchmarks import ROOT
from benchmarks.courses import COURSES, lessons_of, overrides, study_of, tuned_tags
from benchmarks.studies import content
from kerasweep.config.metrics import is_of_epoch
from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import Verdict
from kerasweep.report.figures import ranking_figure
from kerasweep.report.files import CSV_METRICS, CSV_PARAMS, CSV_TAGS
from kerasweep.report.groups import Group, group_runs, measure_of
from kerasweep.report.page_figures import SEPARATOR
from kerasweep.report.standings import Standing, ranked, standings
from kerasweep.report.statistics import LEVEL, Difference
from kerasweep.report.summary import winner_lines
from kerasweep.report.tables import cells, notes
from kerasweep.report.verdicts import finding_lines, verdict_of
from kerasweep.terminal import duration_text
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import SCORE

LESSONS = ROOT / "docs" / "lessons"
TITLES = {"cifar10": "CIFAR-10", "fashion_mnist": "Fashion-MNIST"}
MAX_SHOWN = 8
INTRODUCTION = (
    "Each lesson is a study of [sweeps/study](../sweeps/README.md). `python -m benchmarks.lessons` writes "
    "this page from the runs in `docs/lessons`, a CSV per lesson. A verdict holds for these networks, "
    "images and epochs; *not decided by these runs* is a result too. About 5 in 100 verdicts on equal "
    "configurations would be wrong ([calibration.md](calibration.md)). Comparisons other than the claims' "
    "were looked for in the results: take them as hints. Compare times within a lesson only.\n\n"
    "On CIFAR-10 a lesson has 12,500 training images for each repeat, drawn from 50,000, of which 2,500 "
    "validate; five repeats with a seed and a split of their own; and, unless the study or its command "
    "names another schedule, a learning rate that falls to zero. Where the study names the rate as "
    "nuisance, it is tuned for each configuration, once: the intervals leave out the luck of that tuning, "
    "with which up to 12 in 100 verdicts would be wrong. The times leave the tuning out. Tuned values were "
    "not kept for the lessons that were measured first (batch_norm, downsampling, feature_scaling, "
    "optimizer), and neither were the notes of `src.compare` for {without_notes}.\n\n"
    "On Fashion-MNIST a lesson has 3,000 images for each repeat, drawn from 60,000, of which 600 "
    "validate; five repeats with a seed and a split of their own; and the study's own schedule, by "
    "default a constant rate. Where the study names the rate as nuisance, it is tuned for each "
    "configuration and each repeat, so the intervals include the luck of that tuning.\n\n"
    "In the table an effect is the difference, with its 95 % interval, of the comparison that decides the "
    "claim or leaves it open: in validation accuracy unless another measure is named; the smallest and "
    "the largest, where the claim is about each setting of the other axes.\n"
)
COLUMNS = ("validation accuracy", "95 % interval", "vs. best", "CPU-seconds", "parameters")
OWN_COLUMNS = {"run_id", "name", *CSV_TAGS, *CSV_PARAMS, *CSV_METRICS}


def write() -> None:
    """Writes docs/lessons.md, and a figure beside each CSV."""
    (ROOT / "docs" / "lessons.md").write_text(page(), encoding="utf-8")
    for dataset in COURSES:
        for name in measured(dataset):
            runs, axes = read(dataset, name)
            groups, known = standing_of(runs, axes)
            labels = [SEPARATOR.join(group.labels) for group in groups]
            figure = ranking_figure(labels, known, measure_of(groups), SEPARATOR.join(axes))
            figure.savefig(LESSONS / dataset / f"{name}.png", dpi=100, metadata={"Software": None})


def measured(dataset: str) -> list[str]:
    """Returns the lessons that have a CSV."""
    return sorted(path.stem for path in (LESSONS / dataset).glob("*.csv"))


def page() -> str:
    """Returns the text of docs/lessons.md: a table of all lessons, then a section for each."""
    datasets = {name: [dataset for dataset in COURSES if name in measured(dataset)] for name in _lessons()}
    done = {name: own for name, own in datasets.items() if own}
    lacking = ", ".join(name for name in measured("cifar10") if not _notes_of("cifar10", name).exists())
    introduction = f"# Lessons, measured\n\n{INTRODUCTION.format(without_notes=lacking)}\n"
    columns = [f"{column} {TITLES[dataset]}" for dataset in COURSES for column in ("verdict on", "effect on")]
    rows = [_row(name, own) for name, own in done.items()]
    head = [f"| lesson | the claim | {' | '.join(columns)} |", "| --- " * (2 + len(columns)) + "|"]
    return "\n".join([introduction, *head, *rows, "", *(section(name, own) for name, own in done.items())])


def _lessons() -> list[str]:
    return sorted({name for dataset in COURSES for name in lessons_of(dataset)})


def _row(name: str, datasets: Sequence[str]) -> str:
    claim = _claim(name)
    cells = [f"[{name}](#{_anchor(name)})", claim.text if claim else "–"]
    for dataset in COURSES:
        verdict = verdict_of(claim, *read(dataset, name)) if claim and dataset in datasets else None
        cells += [verdict.decision, _effect(verdict)] if verdict else ["–", "–"]
    return f"| {' | '.join(cells)} |"


def _anchor(name: str) -> str:
    return "".join(
        letter for letter in _title(name).lower().replace(" ", "-") if letter.isalnum() or letter == "-"
    )


def _title(name: str) -> str:
    """Returns a lesson's question; a variant's has its name behind it."""
    study = study_of("cifar10", name)
    return content(study)["question"] + ("" if study == name else f" ({name.replace('_', ' ')})")


def _effect(verdict: Verdict) -> str:
    """Returns the smallest and the largest difference of the deciding comparison, with what it measures."""
    differences, comparison = verdict.deciding.differences, verdict.deciding.comparison
    found = sorted(differences.values(), key=lambda difference: difference.estimate.mean)
    if not found:
        return "–"
    measure = "" if comparison.measure == "objective" else f"{comparison.measure} "
    if is_of_epoch(comparison.measure):
        measure = f"the last epoch's {measure}"
    if comparison.spread_over:
        measure = f"variance over {comparison.spread_over} "
    margin = f", margin {comparison.margin:g}" if comparison.margin else ""
    return measure + " to ".join(map(_with_interval, dict.fromkeys((found[0], found[-1])))) + margin


def _with_interval(difference: Difference) -> str:
    low, high = difference.interval(LEVEL)
    return f"{difference.estimate.mean:+.2g} ({low:+.2g} to {high:+.2g})"


def _claim(name: str) -> ClaimConf | None:
    claim = content(study_of("cifar10", name)).get("claim")
    schema = OmegaConf.structured(ClaimConf)
    return cast(ClaimConf, OmegaConf.merge(schema, OmegaConf.create(claim))) if claim else None


def section(name: str, datasets: Sequence[str]) -> str:
    """Returns a lesson's question and claim, and its results on each data set."""
    claim = _claim(name)
    lines = [f"## {_title(name)}", ""]
    if claim:
        lines += [f"> {claim.text}", ""]
    return "\n".join([*lines, *(_results(dataset, name, claim) for dataset in datasets)])


def _results(dataset: str, name: str, claim: ClaimConf | None) -> str:
    """Returns a lesson's command, verdict with numbers, ranking, figure, and surprises on one data set."""
    runs, axes = read(dataset, name)
    groups, known = standing_of(runs, axes)
    networks = [run for group in groups for run in group.runs]
    command = " ".join(text.format(path="FOLDER") for text in overrides(dataset, name))
    lines = [f"### On {TITLES[dataset]}: {name}", "", f"`python -m src.train -m {command}`", ""]
    if claim:
        verdict = verdict_of(claim, runs, axes)
        lines += [f"**{verdict.decision.capitalize()}.**", ""]
        lines += [
            f"{'  ' if line.startswith(' ') else ''}- {line.strip()}"
            for line in finding_lines(verdict, measure_of(groups))
        ]
        lines.append("")
    figure = f"![{name} on {TITLES[dataset]}](lessons/{dataset}/{name}.png)"
    lines += [*notes(known), "", _table(groups, known, axes), "", *_tuned(groups, name), figure, ""]
    lines.append(f"{len(networks)} networks, {_time_of(networks)}.")
    lines += _winner(groups)
    kept = _notes_of(dataset, name)
    noted = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    lines += ["", *(f"- note: {line}" for line in noted)] if noted else []
    surprise = _surprises().get(dataset, {}).get(name)
    return "\n".join([*lines, "", surprise.strip(), ""] if surprise else [*lines, ""])


def _notes_of(dataset: str, name: str) -> Path:
    return LESSONS / dataset / f"{name}.notes"


def _time_of(networks: Sequence[RunRecord]) -> str:
    """Returns the CPU time of the trainings, or the elapsed time of runs that did not record it."""
    if all("cpu_seconds" in run.metrics for run in networks):
        return f"{duration_text(sum(run.metrics['cpu_seconds'] for run in networks))} of CPU time"
    return f"{duration_text(sum(run.metrics['seconds'] for run in networks))} of training"


def _tuned(groups: Sequence[Group], name: str) -> list[str]:
    """Returns a line with the tuned values of each configuration; none for runs without them."""
    lines = []
    for tag in tuned_tags(name):
        by_value: dict[str, list[str]] = {}
        for group in groups:
            values = {run.tags.get(tag, "") for run in group.runs}
            by_value.setdefault(", ".join(sorted(values)), []).append(" ".join(group.labels))
        if "" not in by_value:
            named = {value: "all" if len(by_value) == 1 else ", ".join(by_value[value]) for value in by_value}
            parts = [f"{value} for {labels}" for value, labels in sorted(named.items())]
            lines += [f"Tuned {tag}: {'; '.join(parts)}.", ""]
    return lines


def _winner(groups: Sequence[Group]) -> list[str]:
    """Returns lines with the test and validation score of the best network."""
    return [line for found in winner_lines(groups) for line in ("", f"{found[0].upper()}{found[1:]}.")]


def _surprises() -> dict[str, dict[str, str]]:
    """Returns the explanations by data set and lesson: the only part that is written by hand."""
    path = LESSONS / "surprises.yaml"
    if not path.exists():
        return {}
    found = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(found, dict)
    return {str(dataset): dict(texts) for dataset, texts in found.items()}


def read(dataset: str, name: str) -> tuple[list[RunRecord], list[str]]:
    """Reads a lesson's runs and axes."""
    with open(LESSONS / dataset / f"{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    tuned = tuned_tags(name) if SCORE in rows[0] else []  # in older runs they were axes
    axes = [column for column in rows[0] if column not in {*OWN_COLUMNS, *tuned}]
    return [_record(row, [*axes, *tuned]) for row in rows], axes


def standing_of(runs: Sequence[RunRecord], axes: Sequence[str]) -> tuple[list[Group], list[Standing]]:
    """Returns the ranked configurations of the runs, with their standings."""
    groups = group_runs(runs, axes)
    pairs = ranked(groups, standings(groups, axes))
    return [group for group, _ in pairs], [standing for _, standing in pairs]


def _record(row: dict[str, str], axes: Sequence[str]) -> RunRecord:
    tags = {key: row[key] for key in (*CSV_TAGS, *axes) if row.get(key)}
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
    mean, interval, _, beside, _, parameters, *_ = cells(group, standing)
    seconds = group.mean("cpu_seconds")
    return [mean, interval, beside, "-" if seconds is None else f"{seconds:.1f}", parameters]
