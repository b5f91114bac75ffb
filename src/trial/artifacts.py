"""What is recorded of a trial beside its metrics: data, figures, model."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from src.data.prepare import Prepared
from src.outcome import TrialRef
from src.tracking.recorder import Recorder
from src.trial.network import Network

MOST_SHOWN = 25


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
    first = part.first(MOST_SHOWN)
    figure = dataset_figure(first.images, first.labels, prepared.class_names, cfg.data.source)
    tracker.log_figure(run_id, figure, "figures/dataset.png")


def record_curves(
    ref: TrialRef, tracker: Recorder, history: Sequence[Mapping[str, float]], best_epoch: int
) -> None:
    """Draw loss and accuracy over the epochs."""
    from src.evaluation.figures import learning_curves

    tracker.log_figure(ref.run_id, learning_curves(history, best_epoch), "figures/learning_curves.png")


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
    from src.evaluation.figures import confusion_figure, wrong_images
    from src.evaluation.metrics import confusion_matrix

    part = prepared.test if ref.is_single else prepared.validation
    probabilities = network.probabilities(part)
    matrix = confusion_matrix(part.labels, probabilities.argmax(axis=1), prepared.num_classes)
    tracker.log_figure(
        ref.run_id, confusion_figure(matrix, prepared.class_names), "figures/confusion_matrix.png"
    )
    wrong = wrong_images(part.images, part.labels, probabilities, prepared.class_names)
    tracker.log_figure(ref.run_id, wrong, "figures/wrong_images.png")
