"""A verdict's lines name the interval that decided it."""

from typing import Any, cast

import pytest
from omegaconf import OmegaConf
from scipy import stats

from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import OPEN, UNDECIDED, judge
from kerasweep.report.pairs import Observation
from kerasweep.report.verdicts import finding_lines, verdict_of
from kerasweep.tracking.run_record import RunRecord


@pytest.mark.parametrize(
    ("relation", "margin", "numbers"),
    [
        (
            "higher",
            0.0,
            "difference +0.002 (95 %: -0.00839 to +0.0124), 5 seeds; such runs can detect a difference of ",
        ),
        (
            "similar",
            0.02,
            "difference +0.002 (90 %: -0.00598 to +0.00998), 5 seeds; such runs can prove a margin of ",
        ),
    ],
)
def test_interval_is_that_of_the_test(relation: str, margin: float, numbers: str) -> None:
    """Differences of -0.01, 0, 0, 0.01, 0.01 have standard error 0.0037417; t(4) is 2.7764 and 2.1318."""
    gaps = (-0.01, 0.0, 0.0, 0.01, 0.01)
    runs = [
        Observation(
            {"model.kernel_size": kernel}, str(seed), {"objective": 0.5 + seed + gap * (kernel == "3")}
        )
        for seed, gap in enumerate(gaps)
        for kernel in ("3", "5")
    ]
    found: Any = OmegaConf.merge(
        OmegaConf.structured(ClaimConf),
        {
            "text": "so",
            "comparisons": [
                {
                    "of": {"model.kernel_size": 3},
                    "relation": relation,
                    "than": {"model.kernel_size": 5},
                    "margin": margin,
                }
            ],
        },
    )
    _, line, *more = finding_lines(judge(cast(ClaimConf, found), runs), "val_accuracy")
    assert line.strip().startswith(numbers)
    needed = "about 140 seeds would decide, if the true difference is of this size"
    assert [each.strip() for each in more] == [needed] * (relation == "higher")


def test_an_added_axis_is_known_by_the_key_of_the_claim() -> None:
    sides = {"of": {"training.temperature": 2}, "relation": "higher", "than": {"training.temperature": 1}}
    claim: Any = OmegaConf.merge(OmegaConf.structured(ClaimConf), {"text": "so", "comparisons": [sides]})
    runs = [
        RunRecord(
            *("", "", "FINISHED"),
            {"state": "complete", "temperature": temperature},
            {"training.temperature": temperature, "training.seed": str(seed)},
            {"objective": float(temperature) + 0.01 * seed},
            0.0,
            None,
        )
        for seed in range(3)
        for temperature in ("1", "2")
    ]
    assert verdict_of(cast(ClaimConf, claim), runs, ["temperature"]).decision == "supported"


def test_a_key_that_ends_like_an_axis_need_not_be_it() -> None:
    """`where` names a constant whose name ends like the tag of the axis."""
    sides = {"of": {"training.rate": 2}, "relation": "higher", "than": {"training.rate": 1}}
    where = {"where": {"model.kwargs.temperature": 1}}
    claim: Any = OmegaConf.merge(
        OmegaConf.structured(ClaimConf), {"text": "so", "comparisons": [{**sides, **where}]}
    )
    runs = [
        RunRecord(
            *("", "", "FINISHED"),
            {"state": "complete", "temperature": temperature, "rate": rate},
            {
                **{"training.temperature": temperature, "training.rate": rate},
                **{"model.kwargs.temperature": "1", "training.seed": str(seed)},
            },
            # Higher at the first temperature, lower at the second.
            {"objective": (1 if temperature == "1" else -1) * float(rate) + 0.01 * seed},
            0.0,
            None,
        )
        for seed in range(3)
        for temperature in ("1", "2")
        for rate in ("1", "2")
    ]
    assert verdict_of(cast(ClaimConf, claim), runs, ["temperature", "rate"]).decision == UNDECIDED


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ("objective", "val_accuracy is"),
        ("val_accuracy", "the last epoch's val_accuracy is"),
        ("val_loss", "the last epoch's val_loss is"),
        ("learning_rate", "the last epoch's learning_rate is"),
        ("epoch_variability", "epoch_variability is"),
    ],
)
def test_the_last_epochs_objective_is_told_from_the_objective(measure: str, words: str) -> None:
    sides = {"of": {"model.kernel_size": 3}, "relation": "higher", "than": {"model.kernel_size": 5}}
    comparisons = [{**sides, "measure": measure}]
    claim: Any = OmegaConf.merge(OmegaConf.structured(ClaimConf), {"text": "so", "comparisons": comparisons})
    line, *_ = finding_lines(judge(cast(ClaimConf, claim), []), "val_accuracy")
    assert line == f"{OPEN}: {words} higher with model.kernel_size=3 than with model.kernel_size=5"


@pytest.mark.parametrize(("settings", "least"), [(("8",), "0.014"), (("8", "32"), "0.017")])
def test_detectable_difference_grows_with_the_number_of_settings(
    settings: tuple[str, ...], least: str
) -> None:
    """The standard error is 0.0037417; by `stats.nct` it takes 3.7611 and 4.5840 of these, see below."""
    for noncentrality, quantile in ((3.7611, 2.7764), (4.5840, 3.4954)):
        assert stats.nct.sf(quantile, 4, noncentrality) == pytest.approx(0.8, abs=1e-4)
    runs = [
        Observation(
            {"model.kernel_size": kernel, "training.batch_size": batch},
            str(seed),
            {"objective": 0.5 + seed + gap * (kernel == "3")},
        )
        for seed, gap in enumerate((-0.01, 0.0, 0.0, 0.01, 0.01))
        for kernel in ("3", "5")
        for batch in settings
    ]
    sides = {"of": {"model.kernel_size": 3}, "relation": "mixed", "than": {"model.kernel_size": 5}}
    claim: Any = OmegaConf.merge(OmegaConf.structured(ClaimConf), {"text": "so", "comparisons": [sides]})
    lines = finding_lines(judge(cast(ClaimConf, claim), runs), "val_accuracy")
    shown = [line for line in lines if "can detect" in line]
    assert len(shown) == len(settings)
    assert all(f"can detect a difference of {least} or more" in line for line in shown)
