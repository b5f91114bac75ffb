"""Studies of equal networks are seldom decided, whatever their luck; real differences are found."""

import pytest

from benchmarks.calibration import Draw, Rate, false_verdicts, found_gains, jumps_of, splits_of

STUDIES = 150
# 5 % and 3.5 standard errors of 150 studies.
LEVEL_AND_LUCK = 0.112
UNEQUAL_LUCK = (0.010, 0.005)


@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("repeats", [5, 10])
def test_jumps_by_luck_decide_nothing(repeats: int, patience: int | None) -> None:
    """The best epoch's accuracy instead decides 35 and 78 of 100 such studies."""
    rate = false_verdicts(jumps_of(UNEQUAL_LUCK, patience=patience), repeats, STUDIES)
    assert rate.share <= LEVEL_AND_LUCK


def test_jumps_of_the_network_itself_are_a_gain() -> None:
    """A user who keeps the best epoch has it."""
    assert found_gains(jumps_of((0.003,), own=(0.0, 0.010)), 5, STUDIES).share > 0.7


def of_splits(repeats: int, is_resampled: bool) -> Rate:
    return false_verdicts(splits_of(is_resampled), repeats, STUDIES, is_resampled)


@pytest.mark.parametrize("repeats", [3, 5, 10])
def test_other_images_decide_nothing(repeats: int) -> None:
    assert of_splits(repeats, is_resampled=True).share <= LEVEL_AND_LUCK


def test_one_split_decides_about_its_own_images() -> None:
    """Which is why the splits are resampled."""
    assert of_splits(5, is_resampled=False).share > 0.4


def test_a_gain_on_all_images_is_found() -> None:
    draw: Draw = splits_of(is_resampled=True, gain=0.02)
    assert found_gains(draw, 5, STUDIES, is_resampled=True).share > 0.5
