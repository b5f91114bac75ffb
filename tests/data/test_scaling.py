"""Scalings agree with NumPy's statistics."""

import numpy as np
import pytest

from kerasweep.data.scaling import Scaling, fit_scaling

IMAGES = np.random.default_rng(0).integers(10, 200, (2050, 2, 3, 3), dtype=np.uint8)
PIECES = np.split(IMAGES, [1000, 2000])


def test_none_leaves_pixels_as_they_are() -> None:
    assert np.array_equal(fit_scaling("none", PIECES).apply(IMAGES), IMAGES.astype(np.float32))


def test_min_max_spans_zero_to_one() -> None:
    scaled = fit_scaling("min_max", PIECES).apply(IMAGES)
    assert scaled.dtype == np.float32
    assert scaled.min() == pytest.approx(0, abs=1e-6)
    assert scaled.max() == pytest.approx(1, abs=1e-6)


def test_z_score_standardizes_each_channel() -> None:
    images = IMAGES // np.array([1, 2, 4], dtype=np.uint8)
    scaling = fit_scaling("z_score", np.split(images, [700, 701]))
    mean, deviation = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    assert scaling.scale == pytest.approx(1 / deviation)
    assert scaling.offset == pytest.approx(-mean / deviation)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("min_max", Scaling((1.0,), (-7.0,))), ("z_score", Scaling((1.0,), (-7.0,)))],
)
def test_a_constant_image_is_only_shifted(kind: str, expected: Scaling) -> None:
    assert fit_scaling(kind, [np.full((2, 2, 2, 1), 7, dtype=np.uint8)]) == expected
