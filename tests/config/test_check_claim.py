"""A claim that could not be tested is refused before anything is trained, with a sentence."""

from collections.abc import Mapping
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.config.check_claim import check_claim, check_measures
from kerasweep.config.search import MEASURES, ClaimConf
from kerasweep.errors import ConfigError

MIXED = ": mixed compares one value with one other in each setting, without a margin."
GOOD = {"of": {"model.kernel_size": 3}, "relation": "higher", "than": {"model.kernel_size": [5, 7]}}


def check(*comparisons: Mapping[str, Any], text: str = "so") -> None:
    claim = {"text": text, "comparisons": comparisons}
    check_claim(OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))


@pytest.mark.parametrize(
    "comparison",
    [
        GOOD,
        GOOD | {"relation": "similar", "margin": 0.01, "measure": "seconds"},
        GOOD | {"where": {"regularizer": ["l1", "l2"]}, "spread_over": "initializer"},
        GOOD | {"relation": "mixed", "than": {"model.kernel_size": 5}},
        GOOD | {"where": {"model.filters": ["[16,32]", "[16]"], "model.kwargs.width": 3}},
    ],
    ids=str,
)
def test_accepts_what_can_be_tested(comparison: Mapping[str, Any]) -> None:
    check(comparison)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relation": "better"}, "relation must be one of higher, lower, similar, mixed, but got better."),
        ({"relation": "similar"}, "margin must be above 0, but got 0.0."),
        ({"margin": -1.0}, "margin must be at least 0, but got -1.0."),
        ({"of": {}}, "of is empty. Name values, as in {model.kernel_size: [3, 5]}."),
        (
            {"of": 5},
            "of must name keys and values, as in {model.kernel_size: [3, 5]}, but is 5.",
        ),
        (
            {"where": None},
            "where must name keys and values, as in {model.kernel_size: [3, 5]}, but is None.",
        ),
        (
            {"of": {"model.kernel_size": []}},
            "of.model.kernel_size needs a value or a list of them, but got [].",
        ),
        ({"margin": float("inf")}, "margin must be a number, but got inf."),
        (
            {"spread_over": "model.kernel_size"},
            "spread_over names model.kernel_size, which of fixes. Let one go.",
        ),
        ({"than": {}}, "than is empty. Name values, as in {model.kernel_size: [3, 5]}."),
        ({"than": GOOD["of"]}, " compares {'model.kernel_size': 3} with itself. Let of and than differ."),
        ({"of": {"kernel": 3}}, " names kernel, but there is no such key. Did you mean model.kernel_size?"),
        ({"where": {"xyz": 3}}, " names xyz, but there is no such key. Name one as in study.space."),
        (
            {"spread_over": "seed"},
            " names seed, but there is no such key. Did you mean data.seed or training.seed?",
        ),
        ({"relation": "mixed"}, MIXED),
        ({"relation": "mixed", "than": {"model.kernel_size": 5}, "margin": 0.1}, MIXED),
        (
            {"where": {"model.filters": [16, 32]}},
            "where gives model.filters several values, [16, 32], but each of them is a list. "
            'Quote them, as in {model.filters: "[16,32]"}.',
        ),
        (
            {"relation": "mixed", "than": {"model.kernel_size": 5}, "spread_over": "initializer"},
            MIXED,
        ),
    ],
    ids=str,
)
def test_refuses_what_could_not_be_tested(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(GOOD, GOOD | changes)
    assert str(caught.value).startswith("study.claim.comparisons[1]")
    assert str(caught.value).removeprefix("study.claim.comparisons[1]").removeprefix(".") == message


def test_a_comparison_needs_a_relation() -> None:
    with pytest.raises(
        ConfigError, match=r"comparisons\[0\].relation is missing. Give one of higher, lower,"
    ):
        check({key: value for key, value in GOOD.items() if key != "relation"})


@pytest.mark.parametrize("claim", [{}, {"text": "so"}, {"comparisons": [GOOD]}], ids=str)
def test_a_claim_needs_a_text_and_a_comparison(claim: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError, match="study.claim needs a text and a comparison, as in claim: "):
        check_claim(OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))


def claim_of(measure: str) -> Any:
    claim = {"text": "so", "comparisons": [GOOD, GOOD | {"measure": measure}]}
    return OmegaConf.merge(OmegaConf.structured(ClaimConf), claim)


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_what_every_run_logs(measure: str) -> None:
    check_measures(claim_of(measure))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("val_acuracy", "no run has that metric. Did you mean val_accuracy or accuracy?"),
        ("precision", f"no run has that metric. Every run has {', '.join(MEASURES)}."),
        (
            "test_accuracy",
            "a study never looks at the test set, but for its winner at the end. Use val_accuracy.",
        ),
        ("test_loss", "a study never looks at the test set, but for its winner at the end. Use val_loss."),
    ],
)
def test_refuses_a_measure_that_runs_lack(measure: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_measures(claim_of(measure))
    assert str(caught.value) == f"study.claim.comparisons[1].measure is {measure}, but {message}"
