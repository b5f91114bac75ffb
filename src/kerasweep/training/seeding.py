"""Sets what a training run draws its randomness and its numbers from."""

import keras
import tensorflow as tf


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, for code that draws from their global generators.

    TensorFlow forgets the kernels of every function thereby: what has been traced is prepared once
    more at its next call, which takes about a quarter of a second.
    """
    keras.utils.set_random_seed(seed)


def set_determinism(deterministic: bool) -> None:
    """Whether TensorFlow's operations are bitwise repeatable, at some cost in speed.

    It holds for the process until it is set again.
    """
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    else:
        _disable_op_determinism()


def _disable_op_determinism() -> None:
    """TensorFlow has a public way to turn determinism on only; this is its own way back."""
    from tensorflow.python.framework import config

    config.disable_op_determinism()


def set_precision(name: str) -> None:
    """Set Keras's dtype policy: float32, mixed_float16 or mixed_bfloat16."""
    keras.config.set_dtype_policy(name)
