"""What a network costs: the floating-point operations of one image, and the seconds of a few real steps."""

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.profiler.model_analyzer import profile
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

STEPS = 8


@dataclass(frozen=True)
class Probe:
    """Measured seconds. start: until the first step is done, tracing among it. step: of a later one.

    validation: one pass over the validation set.
    """

    start: float
    step: float
    validation: float


def count_flops(model: keras.Model) -> int:
    """Floating-point operations of one image's way through the network, as TensorFlow's profiler counts.

    A multiplication with its addition counts as two.
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


def probe(model: keras.Model, batches: Any, validate: Callable[[], object]) -> Probe:
    """Train a compiled network for a few batches and validate it; its weights are spoiled by that."""
    seconds = []
    for images, labels in islice(batches, STEPS + 1):
        began = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    validate()
    traced = time.perf_counter() - began
    began = time.perf_counter()
    validate()
    validation = time.perf_counter() - began
    start = seconds[0] + traced - validation
    return Probe(start, statistics.median(seconds[1:] or seconds), validation)
