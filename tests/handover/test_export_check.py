"""An export is compared with the Keras model image by image."""

import time
from itertools import count

import numpy as np
import pytest

from kerasweep.data.prepare import Part
from kerasweep.errors import ConfigError
from kerasweep.handover.export_check import (
    MAX_CALLS,
    MIN_CALLS,
    WARM_UP,
    Comparison,
    check_equal,
    compare,
    milliseconds_an_image,
    probabilities_by,
)


def test_comparison_counts_images_of_each_kind() -> None:
    keras = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    exported = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2], [0.75, 0.25], [0.7, 0.3]])
    assert compare(exported, keras, np.array([0, 0, 1, 1, 0, 1])) == Comparison(
        agreeing=3, largest_difference=pytest.approx(0.6), keras_correct=4, lost=2, gained=1
    )


@pytest.mark.parametrize(
    ("lost", "gained", "sentence"),
    [
        (
            30,
            9,
            "loses 30 of 1,200 images that the Keras model gets right, gains 9: beyond chance (p 0.0011)",
        ),
        (2, 3, "loses 2 of 1,200 images that the Keras model gets right, gains 3: within chance (p 1)"),
        (0, 0, "loses 0 of 1,200 images that the Keras model gets right, gains 0: within chance (p 1)"),
        (5, 0, "loses 5 of 1,200 images that the Keras model gets right, gains 0: within chance (p 0.062)"),
    ],
)
def test_loss_is_compared_with_chance(lost: int, gained: int, sentence: str) -> None:
    assert str(Comparison(1300, 0.1, 1200, lost, gained)) == sentence


def test_export_within_rounding_is_equal() -> None:
    check_equal(Comparison(10, 9e-5, 9, 0, 0), "onnx")


@pytest.mark.parametrize(("difference", "shown"), [(0.0321, "0.0321"), (float("nan"), "nan")])
def test_export_that_predicts_something_else_is_refused(difference: float, shown: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_equal(Comparison(10, difference, 9, 0, 0), "onnx")
    assert str(raised.value) == (
        "format=onnx must predict as the Keras model to within 0.0001, but on the test images their "
        f"probabilities differ by {shown}. Choose another format."
    )


def test_all_images_are_predicted_in_their_order() -> None:
    images = np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(600, 1, 1, 1)
    sizes: list[int] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return batch.reshape(-1, 1).astype(np.float32)

    probabilities = probabilities_by(predict, Part(images, np.zeros(600, np.int64)))
    assert sizes == [256, 256, 88]
    assert probabilities.tolist() == images.reshape(-1, 1).tolist()


@pytest.mark.parametrize(
    ("seconds", "calls"), [(0.0001, MAX_CALLS), (0.01, 200), (1.0, MIN_CALLS)], ids=["fast", "usual", "slow"]
)
def test_time_is_the_median_after_the_warm_up(
    seconds: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that stands still but in calls; the warm-up and every third call take ten times as long."""
    clock, number = [0.0], count(1)

    def predict(batch: np.ndarray) -> np.ndarray:
        assert batch.shape == (1, 2, 2, 1)
        call = next(number)
        clock[0] += seconds * (10 if call <= WARM_UP or call % 10 == 0 else 1)
        return batch

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert milliseconds_an_image(predict, np.zeros((2, 2, 1), np.uint8)) == pytest.approx(1000 * seconds)
    assert next(number) - 1 - WARM_UP <= calls
