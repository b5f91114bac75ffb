"""What a network costs: the floating-point operations of one image, and the seconds of a few real steps."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf
from tensorflow.python.profiler.model_analyzer import profile
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

MAX_STEPS = 64
MAX_SECONDS = 3.0


@dataclass(frozen=True)
class Probe:
    """Measured seconds of a training.

    start: what is spent once, above all tracing. step: a batch of the training. image: one that is evaluated.
    """

    start: float
    step: float
    image: float


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
    train: Callable[[int], object],
    evaluate: Callable[[], object],
    steps: int,
    images: int,
    most_seconds: float = MAX_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Probe:
    """Time a few real steps of a training, whose weights are spoiled by that.

    train: does so many steps. evaluate: so many `images`. steps: of an epoch. most_seconds: of steps
    after the first, which is traced; slow networks make fewer of them. clock: gives the seconds
    since some moment.
    """

    def seconds_of(action: Callable[[], object]) -> float:
        began = clock()
        action()
        return clock() - began

    first = seconds_of(lambda: train(1))
    count, spent = 1, 0.0
    while True:
        seconds = seconds_of(partial(train, count))
        spent += seconds
        if count >= min(MAX_STEPS, steps) or spent + 4 * seconds > most_seconds:
            break
        count = min(4 * count, steps)
    first_evaluation, evaluation = seconds_of(evaluate), seconds_of(evaluate)
    step = seconds / count
    start = max(0.0, first - step) + max(0.0, first_evaluation - evaluation)
    return Probe(start, step, evaluation / images)
