"""The card of a model says what was recorded and measured, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasweep.data.prepare import Prepared
from kerasweep.handover.card import CARD, CONFUSION, make_card, weakest_class
from kerasweep.handover.origin import read_origin
from kerasweep.handover.recorded_data import read_recorded_data
from kerasweep.handover.recorded_model import RecordedModel, read_model
from kerasweep.handover.scores import probabilities_of
from kerasweep.report.statistics import wilson
from kerasweep.results import State
from kerasweep.tracking.reader import get_run
from tests.commands.test_rerun import Configured, Recorder

NAMES = ("a|b", "new\nline", "<i>c</i>", "d")


@pytest.fixture(scope="module")
def recorder(
    copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory, configured: Configured
) -> Recorder:
    folder = tmp_path_factory.mktemp("card")
    return Recorder(f"sqlite:///{copy_database(folder)}", folder, configured)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes images of four classes, the last of which the test set lacks."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("images") / "images.npz"
    labels, test_labels = np.arange(80) % 4, np.arange(30) % 3
    images = generator.integers(0, 60, (80, 6, 6, 3)) + 50 * labels[:, None, None, None]
    tests = generator.integers(0, 60, (30, 6, 6, 3)) + 50 * test_labels[:, None, None, None]
    np.savez(
        path,
        x_train=images.astype(np.uint8),
        y_train=labels,
        x_test=tests.astype(np.uint8),
        y_test=test_labels,
        class_names=np.array(NAMES),
    )
    return path


class Carded:
    """A recorded model of a sweep with its data and its answers."""

    def __init__(self, recorder: Recorder, archive: Path) -> None:
        of_sweep = {"study": "s", "sweep": "s-1", "objective": "val_accuracy maximize"}
        parent = recorder.tracker.start(
            "s",
            {**of_sweep, "kind": "study", "command": "python -m src.train -m", "verdict": "supported"},
            {},
        )
        recorder.tracker.finish(parent, State.COMPLETE)
        failed = recorder.tracker.start("trial", {**of_sweep, "kind": "trial"}, {})
        recorder.tracker.finish(failed, State.FAILED, "no luck")
        run = recorder.record(
            "data=npz",
            f"data.path={archive}",
            f"data.cache_dir={archive.parent / 'cache'}",
            "data.limit=null",
            "training.epochs=4",
            "model.kernel_size=1",
            kind="trial",
            trial="1",
            **of_sweep,
        )
        self.recorder = recorder
        self.recorded: RecordedModel = read_model(recorder.tracking, run.run_id)
        self.data: Prepared = read_recorded_data(recorder.tracking, run)
        self.probabilities = probabilities_of(self.recorded.model, self.data.test)
        self.card = make_card(
            read_origin(recorder.tracking, run), self.recorded, self.data, self.probabilities, "shades"
        )

    def section(self, heading: str) -> str:
        return self.card.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def carded(recorder: Recorder, archive: Path) -> Carded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        return Carded(recorder, archive)


def test_sections_are_the_usual_ones(carded: Carded) -> None:
    assert carded.card.text.startswith("# shades\n\n## Model details\n")
    assert re.findall("^## (.*)$", carded.card.text, re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Data",
        "Training",
        "How it was chosen",
        "Test results",
        "Limits",
        "Run it again",
    ]
    assert carded.section("Intended use").strip().startswith("> **To be filled in by you.** Who uses this")


def test_images_of_each_class_are_counted(carded: Carded) -> None:
    text = carded.section("Data")
    assert carded.data.digest in text
    assert "| class | training | validation | test |" in text
    assert "| a\\|b | 16 | 4 | 10 |" in text
    assert "| new line | 16 | 4 | 10 |" in text
    assert "| &lt;i>c&lt;/i> | 16 | 4 | 10 |" in text
    assert "| d | 16 | 4 | 0 |" in text
    assert "| **all** | 64 | 16 | 30 |" in text


def test_each_class_has_recall_and_precision_with_intervals(carded: Carded) -> None:
    labels, answers = carded.data.test.labels, carded.probabilities.argmax(axis=1)

    def share(right: int, count: int) -> str:
        if count == 0:
            return "-"
        low, high = wilson(right, count)
        return f"{right / count:.4f} ({low:.4f} to {high:.4f})"

    text = carded.section("Test results")
    assert f"Accuracy {share(int((labels == answers).sum()), 30)} on 30 test images" in text
    for number, name in enumerate(("a\\|b", "new line", "&lt;i>c&lt;/i>", "d")):
        right = int(((labels == number) & (answers == number)).sum())
        of_class, of_answer = int((labels == number).sum()), int((answers == number).sum())
        row = f"| {name} | {of_class} | {share(right, of_class)} | {share(right, of_answer)} |"
        assert row in text


def test_the_choice_of_a_person_is_no_choice_of_the_sweep(carded: Carded) -> None:
    run = carded.recorded.run
    text = carded.section("How it was chosen")
    value = f"val_accuracy {run.metrics['objective']:.6g}"
    assert f"The run `{run.run_id}` with {value} belongs to the sweep `s-1`, out of 2 trials " in text
    assert "(1 complete, 1 failed). A person named it." in text
    assert "The verdict on the claim of the study: supported." in text
    assert "took no part" not in text


def test_the_choice_of_a_sweep_is_by_the_mean_of_its_seeds(recorder: Recorder) -> None:
    of_sweep = {"study": "m", "sweep": "m-1", "state": "complete", "objective": "val_accuracy maximize"}
    parent = recorder.tracker.start("m", {**of_sweep, "kind": "study", "axes": "kernel_size"}, {})
    recorder.tracker.finish(parent, State.COMPLETE)
    trial = recorder.tracker.start("trial", {**of_sweep, "kind": "trial", "trial": "0"}, {}, parent)
    recorder.tracker.finish(trial, State.COMPLETE)
    for repeat, value in enumerate((0.5, 0.75)):
        seed = recorder.record("training.epochs=1", **of_sweep, trial="0", repeat=str(repeat))
        recorder.tracker.set_tags(seed.run_id, {"kind": "repeat", "mlflow.parentRunId": trial})
        recorder.tracker.log_metrics(seed.run_id, {"objective": value})
    recorder.tracker.log_metrics(seed.run_id, {"test_accuracy": 0.5, "test_images": 10.0})
    again = recorder.record(
        "training.epochs=1",
        rerun_of=seed.run_id,
        rerun_verdict="a variation (data.limit=null): val_loss 1, 2",
    )
    for run_id, start in (
        (seed.run_id, "The configuration of the run"),
        (again.run_id, f"It is a variation (data.limit=null) of the run `{seed.run_id}`; a person chose"),
    ):
        recorded = read_model(recorder.tracking, run_id)
        data = read_recorded_data(recorder.tracking, recorded.run)
        text = make_card(
            read_origin(recorder.tracking, recorded.run),
            recorded,
            data,
            probabilities_of(recorded.model, data.test),
            "x",
        ).text
        assert text.partition("## How it was chosen\n\n")[2].startswith(start)
        assert (
            f"The configuration of the run `{seed.run_id}` was chosen by the mean of 2 seeds, 0.625, and "
            "this run as the best of them, with val_accuracy 0.75, in the sweep `m-1`, out of 1 trials "
            "(1 complete). The test images took no part in this choice."
        ) in text


def test_facts_are_those_of_the_run(carded: Carded) -> None:
    facts = carded.card.facts
    assert (facts["run_id"], facts["data_digest"]) == (carded.recorded.run.run_id, carded.data.digest)
    assert (facts["input"], facts["classes"], facts["training_images"]) == ("6×6×3", "4", "64")
    assert facts["chosen_out_of"] == "2 trials (1 complete, 1 failed)"
    for name, text in facts.items():
        shown = text.replace("|", "\\|").replace("<", "&lt;")
        assert f"| {name} | {shown} |" in carded.section("Model details")


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[2, 0], [0, 3]], None),
        ([[2, 0], [1, 3]], "b: recall 0.7500, 1 of its 4 images is called a"),
        ([[0, 0], [0, 3]], None),  # no image of the first class
        ([[0, 2], [2, 3]], "a: recall 0.0000, 2 of its 2 images are called b"),
        ([[0, 1], [0, 0]], "a: recall 0.0000, 1 of its 1 image is called b"),
    ],
)
def test_the_weakest_class_has_the_smallest_recall(matrix: list[list[int]], said: str | None) -> None:
    assert weakest_class(np.array(matrix), ("a", "b")) == said


def test_how_to_run_it_again(carded: Carded) -> None:
    text = carded.section("Run it again")
    assert f"python -m src.rerun run_id={carded.recorded.run.run_id}\n" in text
    assert "python -m src.train -m     # the sweep\n" in text


def test_a_single_training_says_so(recorder: Recorder) -> None:
    run = recorder.record("training.epochs=1")
    recorded, data = read_model(recorder.tracking, run.run_id), read_recorded_data(recorder.tracking, run)
    card = make_card(
        read_origin(recorder.tracking, recorded.run),
        recorded,
        data,
        probabilities_of(recorded.model, data.test),
        "x",
    )
    assert "No sweep compared its configuration with others." in card.text


def test_card_and_picture_are_written_and_recorded(carded: Carded, tmp_path: Path) -> None:
    carded.card.write(tmp_path)
    assert (tmp_path / CARD).read_text() == carded.card.text
    assert f"]({CONFUSION})" in carded.card.text
    with Image.open(tmp_path / CONFUSION) as picture:
        assert picture.format == "PNG" and picture.width > 300
    run_id = carded.recorded.run.run_id
    carded.card.record(carded.recorder.tracker, run_id)
    client = carded.recorder.tracker.client
    assert {CARD, CONFUSION} <= {artifact.path for artifact in client.list_artifacts(run_id)}
    assert get_run(carded.recorder.tracking, run_id).status == "FINISHED"
