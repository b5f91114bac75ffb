"""What is recorded of a trial beside its metrics: data, figures, model."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig

from kerasweep.data.prepare import Prepared
from kerasweep.results import TrialRef
from kerasweep.tracking.recorder import Recorder
from kerasweep.trial.metrics import confusion_matrix, most_confidently_wrong
from kerasweep.trial.network import Network

if TYPE_CHECKING:
    from kerasweep.trial.figures import Figure

MAX_SHOWN = 25


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
    """Draw some training images into a run, each under its class: from all over, since they may be sorted."""
    part = prepared.train
    numbers = np.unique(np.linspace(0, len(part) - 1, MAX_SHOWN).astype(int))
    draw = partial(
        _draw_images, part.take(numbers), part.labels[numbers], prepared.class_names, cfg.data.source
    )
    tracker.log_figure(run_id, draw, "figures/dataset.png")


def record_curves(
    ref: TrialRef, tracker: Recorder, history: Sequence[Mapping[str, float]], best_epoch: int
) -> None:
    """Draw loss and accuracy over the epochs."""
    tracker.log_figure(
        ref.run_id, partial(_draw_curves, list(history), best_epoch), "figures/learning_curves.png"
    )


def record_model(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """Keep the model."""
    tracker.log_model(ref.run_id, network.twin(), prepared.class_names)


def record_test(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """How many images of the test set a network classifies rightly: for the winner of a sweep, once."""
    part = prepared.test
    right = network.probabilities(part).argmax(axis=1) == part.labels
    tracker.log_metrics(ref.run_id, {"test_accuracy": float(right.mean()), "test_images": float(len(right))})


def record_errors(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """Show where the network errs: a single run on the test set, a trial on the validation set."""
    part = prepared.test if ref.is_single else prepared.validation
    probabilities = network.probabilities(part)
    matrix = confusion_matrix(part.labels, probabilities.argmax(axis=1), prepared.num_classes)
    names = prepared.class_names
    tracker.log_figure(ref.run_id, partial(_draw_confusion, matrix, names), "figures/confusion_matrix.png")
    shown = most_confidently_wrong(probabilities, part.labels, MAX_SHOWN)
    draw = partial(_draw_wrong, part.take(shown), part.labels[shown], probabilities[shown], names, matrix)
    tracker.log_figure(ref.run_id, draw, "figures/wrong_images.png")


# These may run in another process than the training: only there matplotlib is imported.


def _draw_images(images: np.ndarray, labels: np.ndarray, names: Sequence[str], source: str) -> "Figure":
    from kerasweep.trial.figures import dataset_figure

    return dataset_figure(images, labels, names, source)


def _draw_curves(history: Sequence[Mapping[str, float]], best_epoch: int) -> "Figure":
    from kerasweep.trial.figures import learning_curves

    return learning_curves(history, best_epoch)


def _draw_confusion(matrix: np.ndarray, names: Sequence[str]) -> "Figure":
    from kerasweep.trial.figures import confusion_figure

    return confusion_figure(matrix, names)


def _draw_wrong(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    matrix: np.ndarray,
) -> "Figure":
    from kerasweep.trial.figures import wrong_images

    total = int(matrix.sum())
    return wrong_images(images, labels, probabilities, names, total - int(matrix.trace()), total)
