"""What a network costs: the floating-point operations of one image, and the seconds of a few real steps."""

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.profiler.model_analyzer import profile
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

STEPS, VALIDATION_STEPS, EPOCHS = 8, 4, 2
MOST_SECONDS = 3.0


@dataclass(frozen=True)
class Probe:
    """Measured seconds of a training.

    start: what is spent once, above all tracing. epoch: what an epoch takes beside its batches.
    step, validation_step: one batch.
    """

    start: float
    epoch: float
    step: float
    validation_step: float


def count_flops(model: keras.Model) -> int:
    """Floating-point operations of one image's way through the network, as TensorFlow's profiler counts.

    A multiplication with its addition counts as two, a bias or an activation as one a number.
    Operations that the profiler does not know, such as einsum, count nothing.
    """
    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    forward = tf.function(lambda batch: model(batch, training=False)).get_concrete_function(image)
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation()).with_empty_output().build()
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)  # its own code warns of its own age
    try:
        return int(profile(forward.graph, options=options).total_float_ops)
    finally:
        logger.setLevel(level)


def probe(
    model: keras.Model,
    train_batches: Callable[[], Any],
    validation_batches: Callable[[], Any],
    most_seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Probe:
    """Train a compiled network for a few steps as `fit` does; its weights are spoiled by that.

    train_batches, validation_batches: give the tf.data.Datasets, whose making is timed too.
    most_seconds: of training steps after the first; slow networks make fewer of them.
    clock: gives the seconds since some moment.
    """
    watch = _Stopwatch(most_seconds, clock)
    began = clock()
    model.fit(
        train_batches().repeat(),
        validation_data=validation_batches().take(VALIDATION_STEPS),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )
    seconds = clock() - began
    step, repeated = _later(watch.steps)
    validation_step, also_repeated = _later(watch.validation_steps)
    epoch = watch.rests[-1] if len(watch.rests) == EPOCHS else 0.0
    start = seconds - repeated - also_repeated - len(watch.rests) * epoch
    return Probe(max(0.0, start), epoch, step, validation_step)


def _later(seconds: list[float]) -> tuple[float, float]:
    """The median of all but the first, which was traced; and the sum of all, as if the first were like it."""
    later = seconds[1:] or seconds
    median = statistics.median(later)
    return median, sum(seconds[1:]) + median


class _Stopwatch(keras.callbacks.Callback):
    """Seconds of each batch, from the end of the one before, and of each epoch beside its batches."""

    def __init__(self, most_seconds: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self.most_seconds = most_seconds
        self.clock = clock
        self.steps: list[float] = []
        self.validation_steps: list[float] = []
        self.rests: list[float] = []
        self._last = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._lap()
        self.rests.append(0.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(self._lap())
        if sum(self.steps[1:]) > self.most_seconds:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        self.rests[-1] += self._lap()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.validation_steps.append(self._lap())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rests[-1] += self._lap()

    def _lap(self) -> float:
        now = self.clock()
        seconds, self._last = now - self._last, now
        return seconds
