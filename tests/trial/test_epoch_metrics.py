"""Metrics of each epoch equal scikit-learn's and Keras's, on the whole and on the halves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from omegaconf import DictConfig

from kerasweep.config.search import ObjectiveConf
from kerasweep.errors import ConfigError
from kerasweep.trial.epoch_metrics import BUILT_IN, EpochMetrics, build_epoch_metrics

CLASSES = 7
GENERATOR = np.random.default_rng(3)
LABELS = GENERATOR.integers(0, CLASSES - 1, 200)  # no image of the last class
PROBABILITIES = GENERATOR.dirichlet(np.ones(CLASSES), 200).astype(np.float32)
PROBABILITIES[::2, :] = 0.4 * PROBABILITIES[::2, :] + 0.6 * np.eye(CLASSES, dtype=np.float32)[LABELS[::2]]
PREDICTED = PROBABILITIES.argmax(axis=1)

OWN = """
import keras
from keras import ops

def recall():
    return keras.metrics.Recall(name="recall_of_1", class_id=1)

class Confidence(keras.metrics.Mean):
    def __init__(self):
        super().__init__(name="confidence")

    def update_state(self, labels, probabilities, sample_weight=None):
        super().update_state(ops.max(probabilities, axis=-1))

def confusion():
    return keras.metrics.F1Score(average=None)

def accuracy():
    return keras.metrics.SparseCategoricalAccuracy(name="accuracy")

def half():
    return keras.metrics.Mean(name="part_a")

def number():
    return 3

class LargestValue(keras.Metric):
    def update_state(self, labels, probabilities, sample_weight=None):
        self.largest = ops.max(probabilities)

    def result(self):
        return self.largest

class Nothing(LargestValue):
    def result(self):
        return None

class Scaled(keras.Metric):
    def __init__(self, factor):
        super().__init__()
"""


def auc_of_pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    """Returns the share of pairs in which the image of the class has the larger score; a tie counts half."""
    pairs = scores[labels][:, np.newaxis] - scores[~labels]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


PRESENT = np.unique(LABELS)
EXPECTED = {
    "f1_macro": sklearn.metrics.f1_score(LABELS, PREDICTED, average="macro", labels=PRESENT),
    "balanced_accuracy": sklearn.metrics.recall_score(LABELS, PREDICTED, average="macro", labels=PRESENT),
    "top_5_accuracy": sklearn.metrics.top_k_accuracy_score(LABELS, PROBABILITIES, k=5, labels=range(CLASSES)),
    "auc": np.mean([auc_of_pairs(number == LABELS, PROBABILITIES[:, number]) for number in PRESENT]),
    "log_loss": -np.log(PROBABILITIES[np.arange(200), LABELS]).mean(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_metric_has_the_value_of_an_independent_formula(name: str) -> None:
    assert BUILT_IN[name](LABELS, PROBABILITIES) == pytest.approx(EXPECTED[name], rel=1e-5)


def test_calibration_error_weighs_the_gap_of_each_bin() -> None:
    confident = [[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10
    labels = np.array([0] * 5 + [1] * 5 + [1] * 6 + [0] * 4)  # half right where 90 % sure; 60 % where 60 %
    assert BUILT_IN["calibration_error"](labels, np.array(confident)) == pytest.approx(0.5 * 0.4)


def test_equal_scores_give_an_area_of_a_half_and_one_class_none() -> None:
    assert BUILT_IN["auc"](LABELS, np.full((200, CLASSES), 1 / CLASSES)) == 0.5
    assert np.isnan(BUILT_IN["auc"](np.zeros(3, np.int64), PROBABILITIES[:3]))


@pytest.mark.parametrize("name", BUILT_IN)
def test_probabilities_that_are_no_numbers_give_a_number_or_nan(name: str) -> None:
    assert isinstance(BUILT_IN[name](LABELS, np.full((200, CLASSES), np.nan)), float)


def test_halves_are_measured_apart() -> None:
    half = np.arange(200) % 3 == 0
    measured = EpochMetrics(BUILT_IN).measure(LABELS, PROBABILITIES, half)
    assert measured["auc_a"] == BUILT_IN["auc"](LABELS[half], PROBABILITIES[half])
    assert measured["auc_b"] == BUILT_IN["auc"](LABELS[~half], PROBABILITIES[~half])
    assert measured["auc"] == BUILT_IN["auc"](LABELS, PROBABILITIES)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own")
def test_metrics_of_the_user_are_measured_on_all_images_at_once(
    configured: Callable[..., DictConfig],
) -> None:
    cfg = configured(
        "training.metrics=[own_metrics:recall,own_metrics:Confidence,f1_macro]", "data.labels=one_hot"
    )
    metrics = build_epoch_metrics(cfg, CLASSES)
    assert metrics is not None
    measured = [metrics.measure(LABELS, PROBABILITIES, None) for _ in range(2)]
    assert measured[0] == measured[1]
    recall = sklearn.metrics.recall_score(LABELS == 1, PROBABILITIES[:, 1] > 0.5)
    confidence = PROBABILITIES.max(axis=1).mean()
    assert measured[0] == pytest.approx(
        {"recall_of_1": recall, "confidence": confidence, "f1_macro": EXPECTED["f1_macro"]}, rel=1e-5
    )


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "number",
            "must return a keras.Metric, but it returned int. Name a class of keras.Metric, or a function",
        ),
        ("accuracy", "has the name accuracy, which another metric has or which ends in _a or _b."),
        ("half", "has the name part_a, which another metric has or which ends in _a or _b."),
        ("confusion", "must give one number, but its result is"),
        ("Nothing", "must give one number, but its result is None. Average it, as"),
        (
            "Scaled",
            "is called without arguments: missing a required argument: 'factor'. Give it a default, or name "
            "a function without arguments that passes it.",
        ),
    ],
)
def test_metric_that_is_none_is_refused(configured: Callable[..., DictConfig], name: str, said: str) -> None:
    cfg = configured(f"training.metrics=[own_metrics:{name}]", "data.labels=one_hot")
    with pytest.raises(ConfigError) as error:
        metrics = build_epoch_metrics(cfg, CLASSES)
        assert metrics is not None
        metrics.measure(LABELS, PROBABILITIES, None)
    assert str(error.value).startswith(f"training.metrics=own_metrics:{name} {said}")


@pytest.mark.usefixtures("own")
def test_a_metric_without_a_name_has_the_same_one_in_each_trial(
    configured: Callable[..., DictConfig],
) -> None:
    cfg = configured("training.metrics=[own_metrics:LargestValue]")
    made = [build_epoch_metrics(cfg, CLASSES) for _ in range(3)]
    assert [list(metrics.measures) for metrics in made if metrics] == [["largest_value"]] * 3


@pytest.mark.usefixtures("own")
def test_objective_that_no_metric_has_is_refused(configured: Callable[..., DictConfig]) -> None:
    cfg = configured("training.metrics=[own_metrics:recall]")
    cfg.objective = [ObjectiveConf("val_recall", "maximize")]
    with pytest.raises(ConfigError) as error:
        build_epoch_metrics(cfg, CLASSES)
    assert str(error.value) == "objective.metric is val_recall, but training.metrics gives val_recall_of_1."


def test_objectives_and_monitors_ask_for_their_metrics(configured: Callable[..., DictConfig]) -> None:
    assert build_epoch_metrics(configured(), CLASSES) is None
    cfg = configured("training=early_stopping", "training.early_stopping.monitor=val_auc")
    cfg.objective = [ObjectiveConf("val_f1_macro", "maximize")]
    metrics = build_epoch_metrics(cfg, CLASSES)
    assert metrics is not None and list(metrics.measures) == ["f1_macro", "auc"]
