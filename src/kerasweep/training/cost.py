"""Measures the cost of a network: floating-point operations per image, seconds of a few real steps."""

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.profiler.model_analyzer import profile
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

MIN_CALLS, MAX_CALLS = 20, 500
MAX_STEPS = 64
MAX_SECONDS = 3.0


@dataclass(frozen=True)
class Probe:
    """Measured seconds of a training."""

    start: float  # once, mostly for tracing
    step: float  # per training batch
    image: float  # per evaluated image


def count_flops(model: keras.Model) -> int:
    """Counts the floating-point operations of a forward pass of one image, by TensorFlow's profiler.

    A multiplication with its addition counts as two, a bias or an activation as one per number.
    Operations that the profiler does not know, such as einsum, count nothing.
    """
    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    forward = tf.function(lambda batch: model(batch, training=False)).get_concrete_function(image)
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation()).with_empty_output().build()
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the profiler warns that it is deprecated
    try:
        return int(profile(forward.graph, options=options).total_float_ops)
    finally:
        logger.setLevel(level)


def latency_ms(model: keras.Model, image: np.ndarray) -> float:
    """Returns the milliseconds in which a model classifies one image (1, height, width, channels)."""
    predict = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    pixels = tf.constant(image, tf.float32)
    return median_ms(lambda: predict(pixels).numpy())


def median_ms(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns the median milliseconds of a call, over half a second or MAX_CALLS; the first one does not
    count.

     Other programs of the machine, such as other workers, make it slower.
    """
    call()
    times: list[float] = []
    while len(times) < MIN_CALLS or (sum(times) < 0.5 and len(times) < MAX_CALLS):
        began = clock()
        call()
        times.append(clock() - began)
    return 1000 * statistics.median(times)


def probe(
    train: Callable[[int], object],
    evaluate: Callable[[], object],
    steps: int,
    images: int,
    max_seconds: float = MAX_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Probe:
    """Times a few real steps of a training; its weights are useless afterwards.

    Args:
        train: Trains the given number of steps.
        evaluate: Evaluates `images` images.
        steps: The steps of an epoch: no more are timed at once.
        images: The number of images that `evaluate` reads.
        max_seconds: The time for the steps after the first, which is traced.
        clock: Returns seconds.
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
        if count >= min(MAX_STEPS, steps) or spent + 4 * seconds > max_seconds:
            break
        count = min(4 * count, steps)
    first_evaluation, evaluation = seconds_of(evaluate), seconds_of(evaluate)
    step = seconds / count
    start = max(0.0, first - step) + max(0.0, first_evaluation - evaluation)
    return Probe(start, step, evaluation / images)
