"""Writes the card of a model: what it is for, its data, training, choice, test results and limits.

The sections are those of Mitchell et al. (2019), Model cards for model reporting,
https://doi.org/10.1145/3287560.3287596
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from kerasweep.data.prepare import Part, Prepared
from kerasweep.handover.origin import Origin
from kerasweep.handover.recorded_model import RecordedModel
from kerasweep.handover.scores import score
from kerasweep.report.score import TestScore
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import REFIT_EPOCHS, REFIT_OF, RERUN_OF, WEIGHTS_DIGEST
from kerasweep.trial.metrics import confusion_matrix

CARD, CONFUSION = "MODEL_CARD.md", "confusion_matrix.png"
FILL_IN = "> **To be filled in by you.**"
# The params of a run that the card shows; all others are in the run.
TRAINING = ("training.", "optimizer.", "schedule.", "regularizer.", "initializer.", "augment.", "model.")
UNSHOWN = ("training.checkpoint.", "training.reuse_programs", "training.jit_compile")


@dataclass(frozen=True)
class Card:
    """The card of a model."""

    text: str  # Markdown, which shows the picture CONFUSION beside it
    facts: Mapping[str, str]  # its most important lines, which the registry has as tags
    matrix: np.ndarray  # int64 (classes, classes), see `confusion_matrix`
    class_names: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Writes the card and its picture into a folder."""
        (folder / CARD).write_text(self.text, encoding="utf-8")
        self._draw().savefig(folder / CONFUSION, dpi=110)

    def record(self, recorder: Recorder, run_id: str) -> None:
        """Records the card and its picture as artifacts of a run."""
        recorder.log_text(run_id, self.text, CARD)
        recorder.log_figure(run_id, self._draw, CONFUSION)

    def _draw(self) -> Any:
        from kerasweep.trial.figures import confusion_figure

        return confusion_figure(self.matrix, self.class_names, "test images")


def make_card(
    origin: Origin,
    recorded: RecordedModel,
    data: Prepared,
    probabilities: np.ndarray,
    name: str,
    remark: str | None = None,
) -> Card:
    """Makes the card of a model from what was recorded and measured.

    Args:
        origin: Where the model comes from, see `read_origin`.
        recorded: The model.
        data: The images of its run.
        probabilities: The model's, of the test images, (n, classes).
        name: The title.
        remark: A sentence below the title; None for none.
    """
    tested = score(probabilities, data.test.labels)
    matrix = confusion_matrix(data.test.labels, probabilities.argmax(axis=1), data.num_classes)
    facts = dict(_facts(recorded, data, tested, matrix, origin))
    sections = (
        _details(facts),
        _intended_use(),
        _data(data, recorded.run),
        _training(recorded.run, origin),
        _choice(recorded.run, origin),
        _results(tested, matrix, data.class_names),
        _limits(data, matrix),
        _commands(recorded, origin),
    )
    title = [f"# {_inline(name)}", *([remark] if remark else [])]
    text = "\n\n".join([*title, *("\n".join(section) for section in sections)])
    return Card(f"{text}\n", facts, matrix, data.class_names)


def _facts(
    recorded: RecordedModel, data: Prepared, tested: TestScore, matrix: np.ndarray, origin: Origin
) -> Iterator[tuple[str, str]]:
    """Yields the card's most important lines."""
    run = recorded.run
    low, high = tested.interval
    yield "run_id", run.run_id
    if "dataset" in run.tags:
        yield "dataset", run.tags["dataset"]
    yield "data_digest", data.digest
    yield "input", "×".join(map(str, data.input_shape))
    yield "classes", str(data.num_classes)
    yield "parameters", str(recorded.model.count_params())
    for metric in ("trained_epochs", "best_epoch"):
        if metric in run.metrics:
            yield metric, f"{run.metrics[metric]:.0f}"
    yield "training_images", str(len(data.train))
    yield "test_images", str(tested.images)
    yield "test_accuracy", f"{tested.accuracy:.6g}"
    yield "test_low", f"{low:.6g}"
    yield "test_high", f"{high:.6g}"
    for tag in ("study", "sweep"):
        if tag in origin.chosen.tags:
            yield tag, origin.chosen.tags[tag]
    if origin.parent is not None and "verdict" in origin.parent.tags:
        yield "verdict", origin.parent.tags["verdict"]
    weakest = weakest_class(matrix, data.class_names)
    if weakest:
        yield "weakest_class", weakest
    if origin.variation:
        yield "variation", origin.variation
    if origin.chosen_by:
        of_run = "" if origin.chosen.run_id == run.run_id else f" (run {origin.chosen.run_id})"
        yield "chosen_by", f"{origin.chosen_by}{of_run}"
    if origin.out_of:
        yield "chosen_out_of", origin.out_of
    if origin.rerun_verdict:
        yield "rerun_verdict", origin.rerun_verdict
    for tag in (REFIT_OF, RERUN_OF, WEIGHTS_DIGEST, "kerasweep", "packages"):
        if tag in run.tags:
            yield tag, run.tags[tag]


def _details(facts: Mapping[str, str]) -> list[str]:
    return ["## Model details", "", *_table(("", ""), [[name, text] for name, text in facts.items()])]


def _intended_use() -> list[str]:
    return [
        "## Intended use",
        "",
        f"{FILL_IN} Who uses this model, for which decision, and what must it not be used for? What does an "
        "error cost, and who looks at its answers?",
    ]


def _data(data: Prepared, run: RunRecord) -> list[str]:
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = {name: _counts(part, data.num_classes) for name, part in parts.items() if len(part)}
    rows = [
        [name, *(f"{images[index]:,}" for images in counts.values())]
        for index, name in enumerate(data.class_names)
    ]
    total = ["**all**", *(f"{images.sum():,}" for images in counts.values())]
    source = run.params.get("data.path") or run.params.get("data.target") or "null"
    place = "" if source == "null" else f" from `{source}`"
    return [
        "## Data",
        "",
        f"`{run.tags.get('dataset', '?')}`{place}, content digest `{data.digest}`. Images of each class:",
        "",
        *_table(("class", *counts), [*rows, total], numbers=True),
    ]


def _counts(part: Part, classes: int) -> np.ndarray:
    return np.bincount(part.labels, minlength=classes)


def _training(run: RunRecord, origin: Origin) -> list[str]:
    stops_early = run.params.get("training.early_stopping.enabled") == "true"
    unshown = UNSHOWN if stops_early else (*UNSHOWN, "training.early_stopping.")
    shown = [
        [key, value]
        for key, value in sorted(run.params.items())
        if key.startswith(TRAINING) and not key.startswith(unshown) and value not in ("null", "none")
    ]
    tags = {"processor": "", "instructions": "", "gpu": "GPU "}
    machine = [f"{text}{run.tags[tag]}" for tag, text in tags.items() if tag in run.tags]
    lines = ["## Training", ""]
    if origin.members:
        named = ", ".join(f"`{member.run_id}`" for member in origin.members)
        lines += [f"The mean of the probabilities of {len(origin.members)} networks, the runs {named}.", ""]
    if REFIT_OF in run.tags:
        epochs = run.tags.get(REFIT_EPOCHS)
        lines += [
            "Trained on training and validation images together, with the configuration of the run "
            f"`{run.tags[REFIT_OF]}` and {run.params.get('training.epochs')} epochs: {epochs}.",
            "",
        ]
    if machine:
        lines += [f"Machine: {'; '.join(machine)}.", ""]
    return [*lines, *_table(("key", "value"), shown)]


def _choice(run: RunRecord, origin: Origin) -> list[str]:
    chosen, parent = origin.chosen, origin.parent
    lines = ["## How it was chosen", ""]
    if origin.variation:
        changed = f"It is {_inline(origin.variation)} of the run `{chosen.run_id}`"
        lines += [f"{changed}; a person chose the change.", ""]
    if parent is None:
        return [*lines, "No sweep compared its configuration with others."]
    question = parent.tags.get("mlflow.note.content")
    lines += [f"> {_inline(question)}", ""] if question else []
    sweep = f"the sweep `{parent.tags.get('sweep')}`, out of {origin.out_of}"
    if origin.is_winner and origin.winner is not None:
        count = len(origin.winner.seeds)
        values = [seed.metrics["objective"] for seed in origin.winner.seeds]
        by = f"by {origin.chosen_by}" if count == 1 else f"by the mean of {count} seeds, {fmean(values):.6g}"
        best = "" if count == 1 else f", and this run as the best of them, with {origin.chosen_by}"
        lines.append(
            f"The configuration of the run `{chosen.run_id}` was chosen {by}{best}, in {sweep}. The test "
            "images took no part in this choice."
        )
    else:
        value = f" with {origin.chosen_by}" if origin.chosen_by else ""
        lines.append(f"The run `{chosen.run_id}`{value} belongs to {sweep}. A person named it.")
    if "verdict" in parent.tags:
        lines += ["", f"The verdict on the claim of the study: {_inline(parent.tags['verdict'])}."]
    return lines


def _results(tested: TestScore, matrix: np.ndarray, class_names: Sequence[str]) -> list[str]:
    rows = [
        [name, str(matrix[index].sum()), _share(matrix[index, index], matrix[index].sum())]
        + [_share(matrix[index, index], matrix[:, index].sum())]
        for index, name in enumerate(class_names)
    ]
    largest = matrix.sum(axis=1).max() / max(matrix.sum(), 1)
    return [
        "## Test results",
        "",
        f"Accuracy {tested} on {tested.images:,} test images, with the 95 % interval for other images of the "
        f"same kind (Wilson). The same answer for all images, their largest class, would have {largest:.4f}. "
        "Of each class, recall is the share of its images that are recognized, and "
        "precision the share of the answers with this class that are right:",
        "",
        *_table(("class", "images", "recall", "precision"), rows, numbers=True),
        "",
        f"![Confusion matrix of the test images]({CONFUSION})",
    ]


def weakest_class(matrix: np.ndarray, class_names: Sequence[str]) -> str | None:
    """Describes the class with the smallest recall.

    Such as `circle: recall 0.0833, 22 of its 24 images are called square`.

    Args:
        matrix: See `confusion_matrix`.
        class_names: Of its rows and columns.

    Returns:
        None if all images of all classes are recognized, or there is none.
    """
    counts, right = matrix.sum(axis=1), matrix.diagonal()
    recalls = np.where(counts > 0, right / np.maximum(counts, 1), 1.0)
    index = int(recalls.argmin())
    if recalls[index] == 1:
        return None
    wrong = np.where(np.arange(len(matrix)) == index, 0, matrix[index])
    called, most = class_names[int(wrong.argmax())], int(wrong.max())
    image = f"image{'' if counts[index] == 1 else 's'}"
    return (
        f"{class_names[index]}: recall {recalls[index]:.4f}, {most} of its {counts[index]} {image} "
        f"{'is' if most == 1 else 'are'} called {called}"
    )


def _share(right: int, count: int) -> str:
    """Returns a share with its interval, as in `0.9714 (0.8547 to 0.9949)`."""
    return str(TestScore(int(right), int(count))) if count else "-"


def _limits(data: Prepared, matrix: np.ndarray) -> list[str]:
    height, width, channels = data.input_shape
    weakest = weakest_class(matrix, data.class_names)
    kind = {1: "grayscale", 3: "RGB"}.get(channels, f"{channels} channels")
    return [
        "## Limits",
        "",
        f"- It takes images of {height}×{width} pixels, {kind}, with raw values 0 to 255. Others must be "
        "converted, which changes what it sees.",
        *([f"- It is worst at {_inline(weakest)}."] if weakest else []),
        f"- It always answers with one of its {data.num_classes} classes, also for an image of none of them.",
        "- Not tested: images from another source than the test images, noise, blur, other light, rotation, "
        "attacks, and how well its probabilities are calibrated.",
        f"- {FILL_IN.removeprefix('> ')} Which groups of people or things do the images leave out?",
    ]


def _commands(recorded: RecordedModel, origin: Origin) -> list[str]:
    run = recorded.run
    again = run.tags.get("command") or f"python -m src.rerun run_id={run.run_id}"
    commands = [again]
    if origin.parent is not None and "command" in origin.parent.tags:
        commands.append(f"{origin.parent.tags['command']}     # the sweep")
    lines = ["## Run it again", "", "```", *commands, "```", ""]
    commit = run.tags.get("mlflow.source.git.commit")
    is_changed = run.tags.get("git.dirty") == "true"
    changes = " with changes, which are the artifact `git.diff` of the run" if is_changed else ""
    lines += [f"Code: commit `{commit}`{changes}.", ""] if commit else []
    return [*lines, *([f"The newest rerun: {origin.rerun_verdict}."] if origin.rerun_verdict else [])]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """Returns a table in Markdown. numbers: Whether all columns but the first are aligned to the right."""
    lines = [" | ".join(map(_inline, row)) for row in rows]
    rule = ["---", *(["---:" if numbers else "---"] * (len(headings) - 1))]
    return [f"| {' | '.join(headings)} |", f"| {' | '.join(rule)} |", *(f"| {line} |" for line in lines)]


def _inline(text: str) -> str:
    """Returns a text that stays on its line and in its cell."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    escaped = re.sub(r"([\\|\[\]])", r"\\\1", " ".join(printable.split()))
    return escaped.replace("<", "&lt;")
