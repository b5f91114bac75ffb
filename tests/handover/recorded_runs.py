"""Records runs whose models classify given test images rightly."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
from omegaconf import OmegaConf

from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import load_prepared
from kerasweep.results import State
from kerasweep.tracking.reader import CONFIG
from kerasweep.tracking.tags import run_params
from kerasweep.tracking.writer import open_tracker
from kerasweep.trial.artifacts import record_data
from tests.compositions import compose_train

SHAPE = (4, 6, 1)
TEST_IMAGES = 60
NO_VALUES: Mapping[str, float] = MappingProxyType({})
NO_TAGS: Mapping[str, str] = MappingProxyType({})


def pixel_model(pixel: int) -> keras.Model:
    """Returns a model that answers class 1 if this pixel is bright, else class 0."""
    pixels = keras.Input(SHAPE)
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    dense = keras.layers.Dense(2, activation="softmax", use_bias=False)
    model = keras.Model(pixels, dense(keras.layers.Flatten()(scaled)))
    weights = np.zeros((int(np.prod(SHAPE)), 2))
    weights[pixel] = -1, 1
    dense.set_weights([weights])
    return model


class RecordedRuns:
    """Writes a data set and a database of runs.

    Each model reads a pixel of its own, in which the data set holds its answers.
    """

    def __init__(self, uri: str, folder: Path, wrong: Mapping[str, Collection[int]]) -> None:
        """Writes the data set.

        Args:
            uri: MLflow's.
            folder: For the data set.
            wrong: The numbers of the test images that each model classifies wrongly.
        """
        self.tracker = open_tracker(TrackingConf(uri=uri))
        self.folder = folder
        self.pixels = {name: pixel for pixel, name in enumerate(wrong)}
        labels = np.arange(TEST_IMAGES) % 2
        images = np.zeros((TEST_IMAGES, *SHAPE), np.uint8)
        flat = images.reshape(TEST_IMAGES, -1)
        for name, numbers in wrong.items():
            is_wrong = np.isin(np.arange(TEST_IMAGES), list(numbers))
            flat[:, self.pixels[name]] = np.where(is_wrong, 1 - labels, labels) * 255
        self.data = self.write_data("data.npz", images, labels)

    def write_data(self, name: str, images: np.ndarray, labels: np.ndarray) -> Path:
        path = self.folder / name
        train = np.arange(40) % 2
        pixels = np.repeat(train.astype(np.uint8), np.prod(SHAPE)).reshape(40, *SHAPE)
        np.savez(path, x_train=pixels, y_train=train, x_test=images, y_test=labels)
        return path

    def with_label(self, name: str, label: int) -> Path:
        """Writes the data set with another label of the last test image."""
        with np.load(self.data) as data:
            labels = data["y_test"].copy()
            labels[-1] = label
            return self.write_data(name, data["x_test"], labels)

    def record(
        self,
        model: str | None,
        *overrides: str,
        tags: Mapping[str, str] = NO_TAGS,
        metrics: Mapping[str, float] = NO_VALUES,
        data: Path | None = None,
        class_names: Collection[str] | None = None,
        state: State | None = State.COMPLETE,
    ) -> str:
        """Records a run with one of the models, or without any, and returns its id."""
        cfg = compose_train("data=npz", f"data.path='{data or self.data}'", *overrides)
        prepared = load_prepared(cfg.data)
        run_id = self.tracker.start(model or "no model", {"kind": "run", **tags}, run_params(cfg))
        self.tracker.log_text(run_id, OmegaConf.to_yaml(cfg, resolve=True), CONFIG)
        record_data(cfg, run_id, self.tracker, prepared)
        self.tracker.log_metrics(run_id, metrics)
        if model is not None:
            names = prepared.class_names if class_names is None else class_names
            self.tracker.log_model(run_id, pixel_model(self.pixels[model]), list(names))
        if state is not None:
            self.tracker.finish(run_id, state, None if state == State.COMPLETE else "no luck")
        return run_id
