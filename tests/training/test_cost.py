"""Operations are those of the layers; a probe gives what a training takes."""

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


class Clock:
    """Stands still but for what a test adds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def batches(clock: Clock, seconds: list[float]) -> tf.data.Dataset:
    """Batches of one image, each of which takes so many seconds of the clock."""

    def make(index: int) -> np.ndarray:
        clock.seconds += seconds[index]
        return np.zeros((1, 6, 7, 3), np.float32)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(make, [index], tf.float32)
        return tf.ensure_shape(image, (1, 6, 7, 3)), tf.zeros([1], tf.int64)

    on_demand = tf.data.Options()
    on_demand.experimental_optimization.inject_prefetch = False
    return tf.data.Dataset.range(len(seconds)).map(load).with_options(on_demand)


def test_probe_times_each_part_apart() -> None:
    clock = Clock()

    def made_slowly() -> tf.data.Dataset:
        clock.seconds += 7.0
        return batches(clock, [2.0, *[1.0] * (EPOCHS * STEPS - 1)])

    def validation() -> tf.data.Dataset:
        return batches(clock, [0.5] * VALIDATION_STEPS)

    found = probe(compiled(), made_slowly, validation, most_seconds=100, clock=clock)
    assert (found.step, found.validation_step, found.epoch) == (1.0, 0.5, 0.0)
    assert found.start == pytest.approx(7.0 + 1.0)  # the first batch takes a second more than a later one


def test_probe_of_a_slow_network_takes_fewer_steps() -> None:
    clock = Clock()
    found = probe(
        compiled(),
        lambda: batches(clock, [0.3] * 100),
        lambda: batches(clock, [0.0]),
        most_seconds=0.5,
        clock=clock,
    )
    assert clock.seconds == pytest.approx(3 * 0.3)  # the first does not count, two more pass the half second
    assert found.step == pytest.approx(0.3) and found.epoch == 0


def test_probe_takes_a_single_batch() -> None:
    found = probe(compiled(), lambda: batches(Clock(), [0.0]), lambda: batches(Clock(), [0.0]))
    assert found.start > 0 and found.step > 0
