"""Records the artifacts of a trial: data set, figures, model, test score.

Only the functions that draw import matplotlib, which takes half a second.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from omegaconf import DictConfig

from kerasweep.data.prepare import Part, Prepared
from kerasweep.results import TrialRef
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.tags import DATA_NOTES
from kerasweep.trial.metrics import confusion_matrix, most_confidently_wrong
from kerasweep.trial.network import Network

MAX_SHOWN = 25


def record_data(cfg: DictConfig, run_id: str, tracker: Recorder, prepared: Prepared) -> None:
    """Records the data set of a run: its digest, the sizes of its split, and what was left out."""
    counts = {"train": len(prepared.train.labels), "validation": len(prepared.validation.labels)}
    tracker.log_dataset(
        run_id,
        name=cfg.data.source,
        digest=prepared.digest,
        source=cfg.data.path or cfg.data.source,
        profile={**counts, "test": len(prepared.test.labels), "input_shape": list(prepared.input_shape)},
    )
    if prepared.notes:
        tracker.set_tags(run_id, {DATA_NOTES: " ".join(prepared.notes)})


def record_images(cfg: DictConfig, run_id: str, tracker: Recorder, prepared: Prepared) -> None:
    """Records a figure of training images with their classes, evenly spaced since they may be sorted."""
    from kerasweep.trial.figures import dataset_figure

    part = prepared.train
    indices = np.unique(np.linspace(0, len(part) - 1, MAX_SHOWN).astype(int))
    images, labels = part.take(indices), part.labels[indices]
    tracker.log_figure(
        run_id,
        lambda: dataset_figure(images, labels, prepared.class_names, cfg.data.source),
        "figures/dataset.png",
    )


def record_curves(
    ref: TrialRef, tracker: Recorder, history: Sequence[Mapping[str, float]], best_epoch: int
) -> None:
    """Records a figure of loss and accuracy over the epochs."""
    from kerasweep.trial.figures import learning_curves

    tracker.log_figure(
        ref.run_id, lambda: learning_curves(history, best_epoch), "figures/learning_curves.png"
    )


def record_model(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """Records the plain Keras twin of the network as the run's model."""
    tracker.log_model(ref.run_id, network.twin(), prepared.class_names, prepared.conversion)


def record_test(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """Records the accuracy on the test set, and the asked metrics, once, for the winner of a sweep."""
    part = prepared.test
    probabilities = network.probabilities(part)
    right = probabilities.argmax(axis=1) == part.labels
    metrics = {"test_accuracy": float(right.mean()), "test_images": float(len(right))}
    if network.epoch_metrics is not None:
        asked = network.epoch_metrics.measure(part.labels, probabilities, None)
        metrics |= {f"test_{name}": value for name, value in asked.items()}
    tracker.log_metrics(ref.run_id, metrics)


def record_errors(ref: TrialRef, tracker: Recorder, prepared: Prepared, network: Network) -> None:
    """Records figures of the errors: of a single run on the test set, of a trial on the validation set."""
    part = prepared.test if ref.is_single else prepared.validation
    kind = "test images" if ref.is_single else "validation images at the best epoch"
    draw_errors(ref.run_id, tracker, part, network.probabilities(part), prepared.class_names, kind)


def draw_errors(
    run_id: str, tracker: Recorder, part: Part, probabilities: np.ndarray, names: Sequence[str], kind: str
) -> None:
    """Records the confusion matrix and the most confidently wrong images.

    Args:
        run_id: The run.
        tracker: Records the figures.
        part: The images.
        probabilities: The model's, (n, classes).
        names: Of the classes.
        kind: Names the images in a title, such as "test images".
    """
    from kerasweep.trial.figures import confusion_figure, wrong_images

    matrix = confusion_matrix(part.labels, probabilities.argmax(axis=1), len(names))
    tracker.log_figure(run_id, lambda: confusion_figure(matrix, names, kind), "figures/confusion_matrix.png")
    total = int(matrix.sum())
    num_wrong = total - int(matrix.trace())
    shown = most_confidently_wrong(probabilities, part.labels, MAX_SHOWN)
    images, labels = part.take(shown), part.labels[shown]
    tracker.log_figure(
        run_id,
        lambda: wrong_images(images, labels, probabilities[shown], names, num_wrong, total),
        "figures/wrong_images.png",
    )
