"""Operations are those of the layers; a probe gives what a training takes."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from src.training.cost import EPOCHS, STEPS, VALIDATION_STEPS, count_flops, probe


def network(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6, 7, 3)), *layers])


# An image of 6 x 7 x 3. A multiplication with its addition is two operations.
CONVOLUTION = 2 * (6 * 7) * (3 * 3 * 3) * 4
LAYERS = {
    "convolution": ([keras.layers.Conv2D(4, 3, padding="same", use_bias=False)], CONVOLUTION),
    "its bias": ([keras.layers.Conv2D(4, 3, padding="same")], CONVOLUTION + 6 * 7 * 4),
    "without padding": ([keras.layers.Conv2D(4, 3, use_bias=False)], 2 * (4 * 5) * (3 * 3 * 3) * 4),
    "stride 2": (
        [keras.layers.Conv2D(4, 5, strides=2, padding="same", use_bias=False)],
        2 * (3 * 4) * (5 * 5 * 3) * 4,
    ),
    "one channel each": (
        [keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)],
        2 * (6 * 7) * (3 * 3) * 3,
    ),
    "dense": (
        [keras.layers.Flatten(), keras.layers.Dense(5)],
        2 * (6 * 7 * 3) * 5 + 5,
    ),
    "two layers": (
        [
            keras.layers.Conv2D(4, 3, padding="same", use_bias=False),
            keras.layers.Flatten(),
            keras.layers.Dense(5, use_bias=False),
        ],
        CONVOLUTION + 2 * (6 * 7 * 4) * 5,
    ),
}


@pytest.mark.parametrize(("layers", "expected"), LAYERS.values(), ids=LAYERS)
def test_flops_are_those_of_the_layers(layers: list[keras.layers.Layer], expected: int) -> None:
    assert count_flops(network(*layers)) == expected


def test_flops_of_small_operations_hardly_count() -> None:
    small = [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.MaxPooling2D()]
    found = count_flops(network(keras.layers.Conv2D(4, 3, padding="same", use_bias=False), *small))
    assert CONVOLUTION < found < CONVOLUTION + 10 * 6 * 7 * 4


def compiled() -> keras.Model:
    model = network(keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def batches(count: int, seconds: float = 0.0, made: list[int] | None = None) -> tf.data.Dataset:
    """As many batches of one image, each of which takes so many seconds. made: notes each."""

    def make(index: int) -> np.ndarray:
        time.sleep(seconds)
        if made is not None:
            made.append(int(index))
        return np.zeros((1, 6, 7, 3), np.float32)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(make, [index], tf.float32)
        return tf.ensure_shape(image, (1, 6, 7, 3)), tf.zeros([1], tf.int64)

    return tf.data.Dataset.range(count).map(load)


def test_probe_times_each_part_apart() -> None:
    def made_slowly() -> tf.data.Dataset:
        time.sleep(0.5)
        return batches(3, 0.05)

    began = time.perf_counter()
    found = probe(compiled(), made_slowly, lambda: batches(VALIDATION_STEPS, 0.1))
    whole = time.perf_counter() - began
    assert found.start >= 0.5 and found.step >= 0.05 and found.validation_step >= 0.1
    an_epoch = found.epoch + STEPS * found.step + VALIDATION_STEPS * found.validation_step
    assert found.start + EPOCHS * an_epoch == pytest.approx(whole, rel=0.3)


def test_probe_of_a_slow_network_takes_fewer_steps() -> None:
    made: list[int] = []
    found = probe(compiled(), lambda: batches(100, 0.3, made), lambda: batches(1), most_seconds=0.1)
    assert 2 <= len(made) < STEPS
    assert found.step >= 0.3 and found.epoch == 0


def test_probe_takes_a_single_batch() -> None:
    found = probe(compiled(), lambda: batches(1), lambda: batches(1))
    assert found.start > 0 and found.step > 0
