"""`src.export` writes a recorded model in other formats, each checked on all test images, or nothing."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from kerasweep.commands.export import _folder_name, export
from kerasweep.config.folders import config_folder
from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import Prepared
from kerasweep.errors import ConfigError, KerasweepError, TrackingError
from kerasweep.handover.recorded_data import read_recorded_data
from kerasweep.handover.recorded_model import RecordedModel, read_model
from kerasweep.report.statistics import wilson
from kerasweep.results import State
from kerasweep.tracking.keras_model import find_model
from kerasweep.tracking.reader import find_runs, get_run
from kerasweep.tracking.writer import open_tracker
from tests import processes
from tests.commands.test_interrupts import interrupt
from tests.processes import Done

FORMATS = ("saved_model", "onnx", "litert")
NETS = """
import keras

@keras.saving.register_keras_serializable("nets")
class Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

def small(input_shape, num_classes):
    return keras.Sequential([
        keras.Input(input_shape),
        Twice(),
        keras.layers.Flatten(),
        keras.layers.Dense(num_classes, activation="softmax"),
    ])
"""


class Trained:
    """A folder with a run of handwritten digits, which was trained by the command."""

    def __init__(self, folder: Path) -> None:
        done = processes.run(folder, "train", "training.epochs=2", "model.filters=[8,16]")
        assert done.code == 0, done.stderr
        self.folder = folder
        self.tracking = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
        self.run_id = find_runs(self.tracking, {})[0].run_id

    def model(self) -> RecordedModel:
        return read_model(self.tracking, self.run_id)

    def data(self) -> Prepared:
        return read_recorded_data(self.tracking, self.model().run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def probabilities(trained: Trained) -> np.ndarray:
    """Returns the Keras model's own probabilities of the test images."""
    return np.asarray(trained.model().model.predict(trained.data().test.images, verbose=0))


@pytest.fixture(scope="module")
def exported(trained: Trained) -> Done:
    """Exports all formats, as users do: in a new Python."""
    return processes.run_new(
        trained.folder, "export", f"run_id={trained.run_id[:8]}", f"format=[{','.join(FORMATS)}]"
    )


@pytest.fixture(scope="module")
def quantized(trained: Trained) -> Done:
    return processes.run(
        trained.folder,
        "export",
        f"run_id={trained.run_id}",
        "format=[onnx,litert]",
        "quantize=int8",
        "folder=int8",
    )


def cells(done: Done) -> list[list[str]]:
    """Returns the rows of the printed table."""
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_all_formats_stand_in_one_table_after_the_keras_model(
    exported: Done, trained: Trained, probabilities: np.ndarray
) -> None:
    assert (exported.code, exported.stderr) == (0, "")
    labels = trained.data().test.labels
    correct, images = int((probabilities.argmax(axis=1) == labels).sum()), len(labels)
    low, high = wilson(correct, images)
    lines = exported.stdout.splitlines()
    assert lines[0] == f"run {trained.run_id} on its {images} test images:"
    rows = cells(exported)
    assert [row[0] for row in rows] == ["keras", *FORMATS]
    assert {row[3] for row in rows} == {f"{correct / images:.4f} ({low:.4f} to {high:.4f})"}
    assert [row[1] for row in rows] == ["", *[f"{images} of {images}"] * 3]
    assert all(float(row[2]) < 1e-5 for row in rows[1:])
    assert all(float(row[5]) > 0 for row in rows)
    folder = f"exports/{trained.run_id[:8]}"
    assert lines[-3:] == [f"exported: {folder}/{name}" for name in FORMATS]
    tags = get_run(trained.tracking, trained.run_id).tags
    assert {name: tags[f"export.{name}"] for name in FORMATS} == {
        name: f"{trained.folder / folder / name}: {rows[0][3]}" for name in FORMATS
    }
    for row in rows[1:]:
        files = [path for path in (trained.folder / folder / row[0]).rglob("model*") if path.is_file()]
        model = trained.folder / folder / row[0] / "model"
        files = [path for path in model.rglob("*") if path.is_file()] if model.is_dir() else files
        assert row[4] == f"{sum(path.stat().st_size for path in files):,}"


@pytest.mark.parametrize("name", FORMATS)
def test_signature_says_what_goes_in_and_out_and_how_the_export_did(
    name: str, exported: Done, trained: Trained
) -> None:
    folder = trained.folder / "exports" / trained.run_id[:8] / name
    signature = json.loads((folder / "signature.json").read_text(encoding="utf-8"))
    assert signature["inputs"] == [
        {"name": "pixels", "dtype": "uint8", "shape": [None, 8, 8, 1], "values": "raw pixels, 0 to 255"}
    ]
    assert signature["outputs"] == [{"name": "probabilities", "dtype": "float32", "shape": [None, 10]}]
    assert signature["class_names"] == [str(digit) for digit in range(10)]
    assert (signature["format"], signature["quantize"], signature["run_id"]) == (name, None, trained.run_id)
    assert signature["data_digest"] == trained.data().digest
    assert {"kerasweep", "keras", "tensorflow"} <= signature["versions"].keys()
    assert (folder / signature["file"]).exists()
    check = signature["check"]
    assert (check["test_images"], check["same_class"], check["lost"], check["p"]) == (359, 359, 0, 1.0)
    assert check["accuracy"] == check["keras_accuracy"]


@pytest.mark.parametrize("name", FORMATS)
def test_each_export_has_a_card_with_its_own_test(name: str, exported: Done, trained: Trained) -> None:
    folder = trained.folder / "exports" / trained.run_id[:8] / name
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text.startswith(f"# run {trained.run_id}, exported as {name}\n")
    (row,) = (row for row in cells(exported) if row[0] == name)
    assert f"Accuracy {row[3]} on 359 test images" in text
    assert (folder / "confusion_matrix.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", FORMATS)
def test_example_of_the_readme_classifies_an_image(
    name: str, exported: Done, trained: Trained, probabilities: np.ndarray
) -> None:
    folder = trained.folder / "exports" / trained.run_id[:8] / name
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.S)
    for number in (0, 1):
        Image.fromarray(trained.data().test.images[number, :, :, 0]).save(folder / "IMAGE.png")
        done = processes.run_script(folder, "-c", program)
        assert done.code == 0, done.stderr
        digit, share = done.stdout.split()
        assert int(digit) == probabilities[number].argmax()
        assert float(share) == pytest.approx(probabilities[number].max(), abs=1e-5)


def test_int8_is_compared_image_by_image(
    quantized: Done, trained: Trained, probabilities: np.ndarray
) -> None:
    assert (quantized.code, quantized.stderr) == (0, "")
    right = int((probabilities.argmax(axis=1) == trained.data().test.labels).sum())
    assert [row[0] for row in cells(quantized)] == ["keras", "onnx-int8", "litert-int8"]
    for name in ("onnx-int8", "litert-int8"):
        signature = json.loads((trained.folder / "int8" / name / "signature.json").read_text())
        check = signature["check"]
        assert signature["quantize"] == "int8"
        gain = check["gained"] - check["lost"]
        assert check["accuracy"] - check["keras_accuracy"] == pytest.approx(gain / 359)
        sentence = f"{name} loses {check['lost']} of {right} images that the Keras model gets right, gains "
        assert f"{sentence}{check['gained']}: " in quantized.stdout


def test_second_export_replaces_the_first(exported: Done, trained: Trained, tmp_path: Path) -> None:
    for _ in range(2):
        done = processes.run(
            trained.folder,
            "export",
            f"run_id={trained.run_id}",
            "format=litert",
            f'folder="{tmp_path}/é x"',
        )
        assert (done.code, done.stderr) == (0, ""), done.stdout
        assert files_below(tmp_path) == [
            f"é x/litert/{name}"
            for name in (
                "MODEL_CARD.md",
                "README.md",
                "confusion_matrix.png",
                "model.tflite",
                "signature.json",
            )
        ]
        (tmp_path / "é x" / "litert" / "README.md").write_text("old")


def test_disk_that_fills_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    """The model's own file fits, and those of onnx and litert; that of saved_model does not."""
    process = processes.start(
        trained.folder,
        "export",
        f"run_id={trained.run_id}",
        "format=[onnx,saved_model]",
        f"folder={tmp_path / 'a' / 'b'}",
        max_file_bytes=80_000,
    )
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout, stderr) == (
        2,
        "",
        f"error: {tmp_path / 'a' / 'b'} cannot be written: File too large. To go on, allow larger files, "
        "see ulimit -f, and start the same command.\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    """It comes when the converted model is loaded."""
    done = interrupt(
        tmp_path,
        "ai_edge_litert.interpreter",
        "export",
        f"run_id={trained.run_id}",
        f"tracking.uri={trained.tracking.uri}",
        "format=litert",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["sitecustomize.py"]


def test_layers_of_the_users_own_are_named_and_taken(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    done = processes.run(tmp_path, "train", "debug=fast", "model=custom", "model.target=nets:small")
    assert done.code == 0, done.stderr
    (run,) = find_runs(TrackingConf(uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db"), {})
    refused = processes.run(tmp_path, "export", f"run_id={run.run_id}", "format=onnx")
    assert (refused.code, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"error: The model of run {run.run_id} cannot be loaded: it needs Twice of nets, which Keras does "
        "not have. If that is your own code, src.export takes it with custom_objects=[nets:Twice], and "
        "in Python you import it before keras.models.load_model. src.predict imports the module of the "
        "run's model.target, and src.promote takes no such model.\n"
    )
    assert not (tmp_path / "exports").exists()
    taken = processes.run(
        tmp_path, "export", f"run_id={run.run_id}", "format=onnx", "custom_objects=nets:Twice"
    )
    assert (taken.code, taken.stderr) == (0, "")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    predicted = processes.run(tmp_path, "predict", f"run_id={run.run_id}", "images=a.png")
    assert (predicted.code, predicted.stderr) == (0, "") and predicted.stdout.startswith("a.png: ")
    (tmp_path / "nets.py").unlink()
    gone = processes.run(tmp_path, "predict", f"run_id={run.run_id}", "images=a.png")
    assert (gone.code, gone.stdout) == (2, "")
    assert gone.stderr == (
        f"error: The model of run {run.run_id} cannot be loaded: it needs model.target. The module nets of "
        "'nets:small' was not found. Put it into the working directory or install its package.\n"
    )
    assert [row[1] for row in cells(taken)] == ["", "200 of 200"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("run 3304a0bf", "3304a0bf"),
        ("models:/digits/3", "digits-3"),
        ("models:/a\\b c/1", "a_b_c-1"),
        (f"models:/{'é' * 300}/12", f"{'é' * 60}-12"),
    ],
)
def test_folder_is_named_after_run_or_version(name: str, folder: str) -> None:
    assert _folder_name(name, "3304a0bf" + 24 * "0") == folder


def test_registered_model_is_exported_under_its_name(trained: Trained, tmp_path: Path) -> None:
    tracker = open_tracker(trained.tracking)
    tracker.client.create_registered_model("digits")
    tracker.client.create_model_version(
        "digits", str(find_model(trained.tracking, trained.run_id)), trained.run_id
    )
    done = processes.run(
        tmp_path, "export", "model=models:/digits/1", "format=litert", f"tracking.uri={trained.tracking.uri}"
    )
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "models:/digits/1 on its 359 test images:"
    assert done.stdout.splitlines()[-1] == "exported: exports/digits-1/litert"


@pytest.fixture
def refused(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Returns a function that exports in an empty folder; it returns the message of the error."""

    def message_of(kind: type[KerasweepError], *overrides: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", os.environ["CUDA_VISIBLE_DEVICES"])
        with initialize_config_dir(config_folder("conf"), version_base="1.3"):
            cfg = compose("export", [f"tracking.uri={trained.tracking.uri}", *overrides])
        with pytest.raises(kind) as raised:
            export(cfg)
        assert list(tmp_path.iterdir()) == []
        return str(raised.value)

    return message_of


def test_failed_running_or_empty_run_is_refused(trained: Trained, refused: Callable[..., str]) -> None:
    tracker = open_tracker(trained.tracking)
    ids = [tracker.start(name, {"kind": "run"}, {}) for name in ("running", "failed", "empty")]
    tracker.finish(ids[1], State.FAILED, "no luck")
    tracker.finish(ids[2], State.COMPLETE)
    messages = [refused(TrackingError, f"run_id='{run_id}'", "format=litert") for run_id in ids]
    assert messages == [
        f"The run {ids[0]} is not finished yet: its model is not complete.",
        f"The run {ids[1]} is failed (no luck): its model is not complete.",
        f"The run {ids[2]} has no model: a sweep saves the model of its best trial, and with "
        "tracking.models=all that of every trial. src.rerun trains a run again and saves its model.",
    ]


def test_folder_of_another_export_is_refused(
    trained: Trained, refused: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "onnx").mkdir()
    message = refused(ConfigError, f"run_id='{trained.run_id}'", "format=[litert,onnx]", f"folder={folder}")
    assert message.startswith(f"{folder / 'onnx'} exists and is no export of this run in this format.")
    assert [path.name for path in folder.iterdir()] == ["onnx"]


def test_no_run_or_no_format_is_refused(trained: Trained, refused: Callable[..., str]) -> None:
    assert refused(ConfigError, "format=onnx") == (
        "run_id needs the id of a recorded run: python -m src.compare shows them."
    )
    assert refused(ConfigError, f"run_id='{trained.run_id}'") == (
        "format needs one of saved_model, onnx, litert, or a list of them: format=[onnx,litert]."
    )
    assert refused(TrackingError, "run_id=abcdef", "format=onnx").startswith(
        "No run abcdef in the experiment"
    )
