"""Batches have the right order and values."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kerasweep.data import feeds as pipeline
from kerasweep.data.feeds import InMemory, Pace, Piece, Streamed, epoch_order, feed_of
from kerasweep.data.prepare import Part

RAMP = Part(
    np.arange(10 * 6 * 7 * 2).reshape(10, 6, 7, 2).astype(np.uint8), np.arange(10, dtype=np.int64) % 3
)
# This part has the same images, selected from a larger set.
CHOSEN = Part(
    np.concatenate([RAMP.images[::-1], RAMP.images]), RAMP.labels, np.arange(10, 20, dtype=np.int64)
)


def gathered(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(piece.images)[piece.order], np.asarray(piece.labels)[piece.order]


@pytest.mark.parametrize("part", [RAMP, CHOSEN])
@pytest.mark.parametrize("feed", [InMemory, Streamed])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_feeds_give_every_image_with_its_label_in_the_given_order(
    feed: Any, part: Part, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "STREAMED_BYTES", steps * 4 * 84)
    order = epoch_order(10, 7, 3, shuffle=True)
    pieces = list(feed(part).pieces(order, 4, lambda: steps))
    assert [len(piece.order) for piece in pieces] == {1: [4, 4, 2], 2: [8, 2], 9: [10]}[steps]
    images, labels = (np.concatenate(parts) for parts in zip(*map(gathered, pieces), strict=True))
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(images, RAMP.images[order])
    assert np.array_equal(labels, RAMP.labels[order])


def test_part_that_would_fill_the_memory_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    held, large = Part(RAMP.source, RAMP.labels), Part(RAMP.source, RAMP.labels)
    assert isinstance(feed_of(held), InMemory) and feed_of(held) is feed_of(held)
    monkeypatch.setattr(pipeline, "MAX_SHARE_OF_MEMORY", 0.0)
    assert isinstance(feed_of(large), Streamed)


def test_order_is_the_argsort_of_documented_draws() -> None:
    draws = tf.random.stateless_uniform([10], [7, 3], dtype=tf.float64).numpy()
    assert np.array_equal(epoch_order(10, 7, 3, shuffle=True), np.argsort(draws, kind="stable"))


def test_orders_differ_between_epochs_and_repeat_between_runs() -> None:
    orders = [epoch_order(10, 1, epoch, shuffle=True).tolist() for epoch in range(1, 4)]
    assert [epoch_order(10, 1, epoch, shuffle=True).tolist() for epoch in range(1, 4)] == orders
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert epoch_order(10, 2, 1, shuffle=True).tolist() != orders[0]


def test_without_shuffle_the_order_stays() -> None:
    assert epoch_order(10, 1, 2, shuffle=False).tolist() == list(range(10))


def test_pace_makes_calls_of_about_half_a_second() -> None:
    pace = Pace()
    assert pace.steps() == 1
    pace.update(1, 2.0)  # the first call includes the trace
    assert pace.steps() == 1
    pace.update(1, 0.001)
    assert pace.steps() == 8
    pace.update(8, 0.008)
    assert pace.steps() == 64
    pace.update(64, 0.64)
    assert pace.steps() == 50
