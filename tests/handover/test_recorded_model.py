"""A model that is damaged, or of other classes or images, is refused with a sentence."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.handover.recorded_data import read_recorded_data
from kerasweep.handover.recorded_model import RecordedModel, load_keras, read_model
from kerasweep.handover.scores import checked_probabilities
from kerasweep.tracking.keras_model import download_model
from tests.commands.test_rerun import Configured, Recorder


def network(shape: tuple[int, ...] = (8, 8, 1), classes: int = 10, weight: float = 0.1) -> keras.Model:
    dense = keras.layers.Dense(classes, kernel_initializer=keras.initializers.Constant(weight))
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), dense, keras.layers.Softmax()])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    network().save(path)
    return path


@pytest.mark.parametrize("seed", range(5))
def test_a_file_with_changed_bytes_is_refused_before_it_is_loaded(file: Path, seed: int) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(3):
        content[random.Random(seed).randrange(len(content))] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(TrackingError, match="^The model of run a cannot be loaded: its file is damaged"):
        load_keras(file, "run a")


def test_half_a_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(TrackingError, match="^The model of run a cannot be loaded: its file is damaged"):
        load_keras(file, "run a")


def test_what_is_no_model_of_one_batch_is_refused(tmp_path: Path) -> None:
    one, two = keras.Input((2,)), keras.Input((2,))
    keras.Model([one, two], keras.layers.Add()([one, two])).save(tmp_path / "model.keras")
    with pytest.raises(TrackingError, match="^The model of run a must take one batch of images, which it"):
        load_keras(tmp_path / "model.keras", "run a")


@pytest.fixture(scope="module")
def recorder(
    copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory, configured: Configured
) -> Recorder:
    folder = tmp_path_factory.mktemp("models")
    return Recorder(f"sqlite:///{copy_database(folder)}", folder, configured)


@pytest.fixture(scope="module")
def recorded(recorder: Recorder) -> RecordedModel:
    return read_model(recorder.tracking, recorder.record("training.epochs=1").run_id)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: network(classes=7), r"must give \(None, 10\) for its 10 class names, but gives \(None, 7\)"),
        (lambda: network((9, 9, 1)), r"takes images of \(9, 9, 1\), but those of its run are \(8, 8, 1\)\."),
        (lambda: network(weight=np.nan), "predicts NaN for test images. Export or promote another run."),
    ],
)
def test_a_model_that_does_not_fit_its_run_is_refused(
    recorder: Recorder, recorded: RecordedModel, model: Callable[[], keras.Model], message: str
) -> None:
    data = read_recorded_data(recorder.tracking, recorded.run)
    other = RecordedModel(recorded.name, recorded.run, model(), recorded.class_names, recorded.location)
    with pytest.raises(TrackingError, match=f"^The model of {recorded.name} {message}"):
        checked_probabilities(other, data)


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "",
        "metadata: [1]",
        "metadata: abc",
        "metadata: {class_names: [1, 2]}",
        "[",
        "a: !!python/name:os.x",
    ],
)
def test_an_mlmodel_of_another_shape_is_refused(recorded: RecordedModel, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "other"
    shutil.copytree(recorded.location.removeprefix("file://"), folder)
    (folder / "MLmodel").write_text(text)
    with pytest.raises(
        TrackingError, match="^The model at .* (has no readable file MLmodel|was not made by)"
    ):
        download_model(TrackingConf(uri="sqlite:////absent.db"), str(folder), tmp_path / "into")


def test_files_that_are_gone_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="^The files of the model at .*gone cannot be read: .+"):
        download_model(
            TrackingConf(uri=f"sqlite:///{tmp_path}/x.db"), str(tmp_path / "gone"), tmp_path / "into"
        )
