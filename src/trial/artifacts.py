"""What is recorded of a trial beside its metrics: data, figures, model."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from src.data.prepare import Prepared
from src.outcome import TrialRef
from src.tracking.recorder import Recorder
from src.trial.network import Network

if TYPE_CHECKING:
    from src.training.fit import FitResult


def record_data(cfg: DictConfig, run_id: str, tracker: Recorder, prepared: Prepared) -> None:
    """Note which data a run stands on: its digest and how it was divided."""
    counts = {"train": len(prepared.train.labels), "validation": len(prepared.validation.labels)}
    tracker.log_dataset(
        run_id,
        name=cfg.data.source,
        digest=prepared.digest,
        source=cfg.data.path or cfg.data.source,
        profile={**counts, "test": len(prepared.test.labels), "input_shape": list(prepared.input_shape)},
    )


def record_images(cfg: DictConfig, run_id: str, tracker: Recorder, prepared: Prepared) -> None:
    """Draw the first training images into a run, each under its class."""
    from src.evaluation.figures import dataset_figure

    part = prepared.train
    figure = dataset_figure(part.images, part.labels, prepared.class_names, cfg.data.source)
    tracker.log_figure(run_id, figure, "figures/dataset.png")


def record_curves(ref: TrialRef, tracker: Recorder, result: "FitResult") -> None:
    from src.evaluation.figures import learning_curves

    figure = learning_curves(result.history, result.best_epoch)
    tracker.log_figure(ref.run_id, figure, "figures/learning_curves.png")


def record_model(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """Keep the model, and show where it errs: a single run on the test set, a trial on the validation set."""
    from src.evaluation.figures import confusion_figure, wrong_images
    from src.evaluation.metrics import confusion_matrix

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.twin().save(path)
        tracker.log_file(ref.run_id, path, "model")
    names = json.dumps(list(prepared.class_names), ensure_ascii=False)
    tracker.log_text(ref.run_id, names, "model/classes.json")
    part = prepared.test if ref.is_single else prepared.validation
    probabilities = network.probabilities(part)
    matrix = confusion_matrix(part.labels, probabilities.argmax(axis=1), prepared.num_classes)
    tracker.log_figure(
        ref.run_id, confusion_figure(matrix, prepared.class_names), "figures/confusion_matrix.png"
    )
    wrong = wrong_images(part.images, part.labels, probabilities, prepared.class_names)
    tracker.log_figure(ref.run_id, wrong, "figures/wrong_images.png")
