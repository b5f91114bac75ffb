"""A claim that a grid could never decide is refused before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import ClaimConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan

KERNELS = ("model.kernel_size=3,5", "training.batch_size=8,16")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def claimed(plan: Plan, **comparison: Any) -> Plan:
    """The plan with a claim of one comparison, as a study file has it."""
    content = {"text": "so", "comparisons": [{"relation": "higher", **comparison}]}
    plan.base.study.claim = OmegaConf.merge(OmegaConf.structured(ClaimConf), content)
    return plan


LARGER = {"of": {"model.kernel_size": 5}, "than": {"model.kernel_size": 3}}


@pytest.mark.parametrize(
    "comparison",
    [
        LARGER,
        LARGER | {"where": {"optimizer.name": "adam"}},
        LARGER | {"measure": "epoch_seconds"},
        {"of": {"training.batch_size": [8, 16]}, "than": {"training.batch_size": 16}},
        LARGER | {"where": {"optimizer": "adam"}},
        LARGER | {"where": {"data": "digits", "model": "cnn", "initializer": "glorot_uniform"}},
        LARGER | {"where": {"regularizer": ["none", "l2"], "schedule": "constant"}},
    ],
    ids=str,
)
def test_what_the_grid_can_decide_is_accepted(plan: Callable[..., Plan], comparison: dict[str, Any]) -> None:
    claimed(plan(*KERNELS), **comparison).check_claim()


@pytest.mark.parametrize(
    "comparison",
    [
        LARGER | {"than": {"model.kernel_size": 7}},
        LARGER | {"where": {"training.batch_size": 32}},
        LARGER | {"where": {"optimizer": "sgd"}},
        LARGER | {"where": {"data": "cifar10"}},
        LARGER | {"spread_over": "initializer"},
    ],
    ids=str,
)
def test_what_it_could_not_is_refused(plan: Callable[..., Plan], comparison: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"study.claim.comparisons\[0\] could not be tested: this grid trains"
    ):
        claimed(plan(*KERNELS), **comparison).check_claim()


def test_a_key_that_comes_with_an_option_is_seen(plan: Callable[..., Plan]) -> None:
    where = {"where": {"optimizer.momentum": 0.9}}
    claimed(plan(*KERNELS, "optimizer=adam,sgd"), **LARGER | where).check_claim()


@pytest.mark.parametrize("key", ["training", "augment", "optimizer.momentum"])
def test_a_key_that_no_run_records_is_named(plan: Callable[..., Plan], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        claimed(plan(*KERNELS), **LARGER | {"where": {key: "default"}}).check_claim()
    assert str(refused.value) == (
        f"study.claim.comparisons[0] names {key}, which no run of this grid records. "
        "Name an axis, or a key that its trials have, as in training.epochs."
    )


def test_a_broken_claim_is_refused_as_such(plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match=r"^study.claim.comparisons\[0\].relation must be one of"):
        claimed(plan(*KERNELS), **LARGER | {"relation": "better"}).check_claim()


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_a_measure_that_no_run_has_is_refused(plan: Callable[..., Plan], sampler: str) -> None:
    with pytest.raises(ConfigError, match="no run has that metric. Did you mean val_accuracy"):
        claimed(plan(*KERNELS, f"sampler={sampler}"), **LARGER | {"measure": "val_acuracy"}).check_claim()


def test_a_measure_of_a_function_of_ones_own_is_not_foreseen(plan: Callable[..., Plan]) -> None:
    own = plan(*KERNELS, "trial.target=benchmarks.targets:instant")
    claimed(own, **LARGER | {"measure": "val_acuracy"}).check_claim()


def test_a_search_is_not_foreseen(plan: Callable[..., Plan]) -> None:
    claimed(plan(*KERNELS, "sampler=tpe"), **LARGER | {"than": {"model.kernel_size": 7}}).check_claim()


def test_without_a_claim_there_is_nothing_to_check(plan: Callable[..., Plan]) -> None:
    plan(*KERNELS).check_claim()
