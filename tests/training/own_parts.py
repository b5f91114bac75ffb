"""Defines what users bring: losses, an optimizer, callbacks."""

import keras
import tensorflow as tf


def focal(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the focal loss with gamma 2 (Lin et al., 2017), (b,), of int64 labels (b,)."""
    of_class = tf.gather(probabilities, labels, batch_dims=1)
    return -tf.square(1 - of_class) * tf.math.log(tf.clip_by_value(of_class, 1e-7, 1.0))


class Squared(keras.losses.Loss):
    """Returns the squared error of one-hot labels."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)


def total(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(focal(labels, probabilities))


def no_loss(labels: tf.Tensor, probabilities: tf.Tensor) -> None:
    return None


def adagrad(learning_rate: float, start: float = 0.5) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adagrad(learning_rate, initial_accumulator_value=start)


def scheduled(learning_rate: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(learning_rate, 10))


def averaging(learning_rate: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(learning_rate, use_ema=True)


def nothing(**arguments: object) -> None:
    return None


class Halving(keras.callbacks.Callback):
    """Halves the learning rate from the third epoch on, by a count of its own; adds a number to the logs."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epochs += 1
        if self.epochs > 2:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        logs["counted"] = self.epochs


class HalvingAfterwards(keras.callbacks.Callback):
    """Halves the learning rate at the end of each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2


class Logging(keras.callbacks.Callback):
    """Changes the logs of the second epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, object] | None = None) -> None:
        assert logs is not None
        if epoch == 1:
            self.change(logs)

    def change(self, logs: dict[str, object]) -> None:
        raise NotImplementedError


class LoggingText(Logging):
    def change(self, logs: dict[str, object]) -> None:
        logs["stage"] = "warm"


class LoggingNothing(Logging):
    def change(self, logs: dict[str, object]) -> None:
        logs["stage"] = None


class LoggingByNumber(Logging):
    def change(self, logs: dict[object, object]) -> None:  # type: ignore[override]
        logs[3] = 1.0


class Forgetting(Logging):
    def change(self, logs: dict[str, object]) -> None:
        logs.clear()


class Scaled(keras.callbacks.Callback):
    def __init__(self, factor: float) -> None:
        super().__init__()


class ScaledLoss(keras.losses.Loss):
    def __init__(self, factor: float) -> None:
        super().__init__()


class OfBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        raise AssertionError("never called")
