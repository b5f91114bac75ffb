"""Studies of equal networks are seldom decided, whatever their luck; real differences are found."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration import __main__ as calibration
from benchmarks.calibration import effects, rankings, samplers
from benchmarks.calibration.rates import Rate
from benchmarks.calibration.verdicts import QUESTIONS, Question, rate_of

STUDIES = 150
# 5 % and 3.5 standard errors of 150 studies.
LEVEL_AND_LUCK = 0.112


def rate(title: str, repeats: int) -> Rate:
    (question,) = [each for each in QUESTIONS if each.title == title]
    return rate_of(question, repeats, STUDIES)


@pytest.mark.parametrize("repeats", [3, 5, 10])
@pytest.mark.parametrize(
    "title",
    [
        "jumps by luck, .010 and .005",
        "the same, early stopping with patience 3",
        "the same, the objective is val_loss",
        "70 images, seven of each class, one arm jumps",
    ],
)
def test_jumps_by_luck_decide_nothing(title: str, repeats: int) -> None:
    """With the best epoch's accuracy instead, every second such study of five repeats has a verdict."""
    assert rate(title, repeats).share <= LEVEL_AND_LUCK


def test_the_largest_accuracy_decides_by_luck() -> None:
    """Which is why values are cross-fitted."""
    assert rate("the same, each run with its largest accuracy", 5).share > 0.2


def test_jumps_of_the_network_itself_are_a_gain() -> None:
    """A user who keeps the best epoch has it."""
    assert rate("jumps of the network's own, 0 and .010: the gain is found", 5).share > 0.7


@pytest.mark.parametrize("repeats", [3, 5, 10])
@pytest.mark.parametrize(
    "title", ["images, resampled splits", "images, each split draws from four times as many"]
)
def test_other_images_decide_nothing(title: str, repeats: int) -> None:
    assert rate(title, repeats).share <= LEVEL_AND_LUCK


def test_one_split_decides_about_its_own_images() -> None:
    """Which is why the splits are resampled."""
    assert rate("images, one split", 5).share > 0.4


def test_a_gain_on_all_images_is_found() -> None:
    assert rate("a gain of .02 on all images: it is found", 5).share > 0.5
    title = "a gain of .02, each split draws from four times as many images: it is found"
    assert rate(title, 5).share > 0.7  # such splits share fewer images, so the intervals are narrower


@pytest.mark.parametrize(
    "title",
    [
        "a claim of two comparisons",
        "`mixed`, in four settings",
        "`mixed`, but one arm is two deviations better in each of four settings",
        "a spread over six values",
        "`similar`, two deviations apart, which is the margin: supported (at most 5)",
    ],
)
def test_other_claims_hold_their_level(title: str) -> None:
    assert rate(title, 5).share <= LEVEL_AND_LUCK


def test_similar_is_found_where_arms_are_equal() -> None:
    assert rate("`similar`, equal arms: supported", 5).share > 0.5


def test_rows_have_streams_of_their_own() -> None:
    """Else the errors of two rows would not be independent."""
    draws: list[float] = []

    def draw(random: np.random.Generator, arms: int, repeats: int) -> np.ndarray:
        values = random.normal(size=(arms, repeats))
        draws.append(float(values[0, 0]))
        return values

    for title in ("one", "another"):
        rate_of(Question(title, draw), 3, 1)
        next(rankings.studies(rankings.Case(title, draw), 2, 3, 1))
        effects.false_effects(title, draw, 3, 1)
    assert len(set(draws)) == len(draws) == 6


def test_a_part_replaces_its_own_section_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = calibration.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(calibration, "PAGE", tmp_path / "page.md")
    calibration.PAGE.write_text(before, encoding="utf-8")
    assert calibration.page(calibration.written()) == before
    monkeypatch.setattr("sys.argv", ["calibration", "effects", "--studies", "2"])
    calibration.main()
    after = calibration.PAGE.read_text(encoding="utf-8")
    parts = [set(text.split("\n## ")) for text in (before, after)]
    assert {text.split("\n")[0] for text in parts[0] ^ parts[1]} == {"Axes and interactions"}
    assert "\n2 studies each, of a grid" in after


def test_a_sampler_that_is_shown_failed_trials_fails_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "CLIFF_SEARCHES", 2)
    cfg = samplers.CONFIGS["TPE"]
    unseen, seen = (samplers.beside_a_cliff(cfg, shows_failed) for shows_failed in (False, True))
    assert unseen.failed.min() >= 26 and seen.failed.max() <= 17
    assert seen.distances.max() < 0.02
