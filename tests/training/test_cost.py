"""Counted operations match the layers, and the probe measures the time of each part of a training."""

import keras
import pytest

from kerasweep.training.cost import MAX_STEPS, count_flops, probe


def network(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6, 7, 3)), *layers])


# The image has 6 x 7 x 3 numbers. A multiplication with its addition is two operations.
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


class Machine:
    """Stands for a machine: training and evaluation advance only its simulated clock."""

    def __init__(self, step: float, evaluation: float = 0.0) -> None:
        self.now = 0.0
        self.step, self.evaluation = step, evaluation
        self.calls: list[int] = []

    def clock(self) -> float:
        return self.now

    def train(self, steps: int) -> None:
        self.now += steps * self.step + (0 if self.calls else 7.0)
        self.calls.append(steps)

    def evaluate(self) -> None:
        self.now += self.evaluation + (0 if self.calls[-1] == -1 else 2.0)
        self.calls.append(-1)


def test_probe_times_each_part_separately() -> None:
    machine = Machine(step=0.01, evaluation=0.5)
    found = probe(machine.train, machine.evaluate, steps=1000, images=50, clock=machine.clock)
    assert machine.calls == [1, 1, 4, 16, MAX_STEPS, -1, -1]
    assert (found.step, found.image) == pytest.approx((0.01, 0.01))
    assert found.start == pytest.approx(7.0 + 2.0)


@pytest.mark.parametrize(
    ("step", "steps", "calls"), [(1.0, 1000, [1, 1]), (0.1, 1000, [1, 1, 4]), (0.01, 10, [1, 1, 4, 10])]
)
def test_probe_takes_fewer_steps_of_slow_networks_and_of_short_epochs(
    step: float, steps: int, calls: list[int]
) -> None:
    machine = Machine(step)
    found = probe(machine.train, machine.evaluate, steps, 1, max_seconds=2.0, clock=machine.clock)
    assert machine.calls == [*calls, -1, -1]
    assert found.step == pytest.approx(step)
