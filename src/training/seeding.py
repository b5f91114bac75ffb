"""Sets what a training run draws its randomness and its numbers from."""

import keras
import tensorflow as tf


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and TensorFlow. deterministic: bitwise repeatable, at some cost in speed.

    Both settings hold for the process until they are set again.
    """
    keras.utils.set_random_seed(seed)
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
