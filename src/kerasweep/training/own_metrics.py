"""Makes the metrics that training.metrics names as functions of the user's."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasweep.config.target import make_without_arguments
from kerasweep.errors import ConfigError


def make_metric(
    target: str, is_one_hot: bool, num_classes: int
) -> tuple[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Returns the name of a metric, and the function that measures it.

    The whole part is one batch, so that a metric that is averaged over batches does not depend on their size.

    Args:
        target: `package.module:name` of a class of keras.Metric, or of a function that returns one. It is
            called without arguments.
        is_one_hot: The form of the labels that it gets.
        num_classes: The number of classes.

    Raises:
        ConfigError: It makes no metric. The function raises it for a metric that gives more than one number.
    """
    metric, second = (make_without_arguments("training.metrics", target) for _ in range(2))
    if not isinstance(metric, keras.Metric):
        raise ConfigError(
            f"training.metrics={target} must return a keras.Metric, but it returned {type(metric).__name__}. "
            "Name a class of keras.Metric, or a function without arguments that returns one."
        )

    def measure(labels: np.ndarray, probabilities: np.ndarray) -> float:
        metric.reset_state()
        targets = np.eye(num_classes, dtype=np.float32)[labels] if is_one_hot else labels
        metric.update_state(targets, probabilities)
        return _number(target, metric.result())

    # Keras numbers the metrics of a process that have no name of their own: half, half_1, half_2.
    name = metric.name if metric.name == second.name else second.name.rpartition("_")[0]
    return str(name), measure


def _number(target: str, result: Any) -> float:
    value = np.asarray(result) if not isinstance(result, dict) else np.zeros(len(result) + 1)
    if value.shape != () or value.dtype.kind in "OSU":
        raise ConfigError(
            f"training.metrics={target} must give one number, but its result is {result}. Average it, as "
            "keras.metrics.F1Score does with average='macro'."
        )
    return float(value)
