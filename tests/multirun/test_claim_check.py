"""A claim that a sweep could never decide is refused before training; too few seeds give a warning."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.metrics import MEASURES
from kerasweep.config.search import ClaimConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.claim_check import check_form, check_measures
from kerasweep.multirun.composer import copy_of
from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.plan import Plan
from tests.compositions import plan_of

MIXED = ": mixed compares one value with one other in each setting, without a margin."
GOOD = {"of": {"model.kernel_size": 3}, "relation": "higher", "than": {"model.kernel_size": [5, 7]}}
KERNELS = ("model.kernel_size=3,5", "training.batch_size=8,16")
SEEDS = "the claim needs 3 seeds, and study.repeats={} cannot decide it; study.repeats=5 gives enough"
EPOCHS = "the claim measures epoch_variability, which needs 4 epochs, and training.epochs={} cannot decide it"


pytestmark = pytest.mark.usefixtures("folder")


def check_comparisons(*comparisons: Mapping[str, Any], text: str = "so") -> None:
    claim = {"text": text, "comparisons": comparisons}
    check_form(OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))


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
def test_comparison_that_can_be_tested_is_accepted(comparison: Mapping[str, Any]) -> None:
    check_comparisons(comparison)


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
            "spread_over names model.kernel_size, which of fixes. Remove one of them.",
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
def test_comparison_that_could_not_be_tested_is_refused(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_comparisons(GOOD, GOOD | changes)
    assert str(caught.value).startswith("study.claim.comparisons[1]")
    assert str(caught.value).removeprefix("study.claim.comparisons[1]").removeprefix(".") == message


def test_a_comparison_needs_a_relation() -> None:
    with pytest.raises(
        ConfigError, match=r"comparisons\[0\].relation is missing. Give one of higher, lower,"
    ):
        check_comparisons({key: value for key, value in GOOD.items() if key != "relation"})


@pytest.mark.parametrize("claim", [{}, {"text": "so"}, {"comparisons": [GOOD]}], ids=str)
def test_a_claim_needs_a_text_and_a_comparison(claim: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError, match="study.claim needs a text and a comparison, as in claim: "):
        check_form(OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))


def claim_of(measure: str) -> Any:
    claim = {"text": "so", "comparisons": [GOOD, GOOD | {"measure": measure}]}
    return OmegaConf.merge(OmegaConf.structured(ClaimConf), claim)


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_that_every_run_logs_are_accepted(measure: str) -> None:
    check_measures(claim_of(measure))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("val_acuracy", "no run has that metric. Did you mean val_accuracy or max_val_accuracy?"),
        ("precision", f"no run has that metric. Every run has {', '.join(MEASURES)}."),
        (
            "test_accuracy",
            "a study uses the test set only for its winner, at the end. Use val_accuracy.",
        ),
        ("test_loss", "a study uses the test set only for its winner, at the end. Use val_loss."),
    ],
)
def test_refuses_a_measure_that_runs_lack(measure: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_measures(claim_of(measure))
    assert str(caught.value) == f"study.claim.comparisons[1].measure is {measure}, but {message}"


@cache
def planned(*arguments: str) -> Plan:
    return plan_of(*arguments)


def changed(plan: Plan, **values: Any) -> Plan:
    """Returns a copy of the plan in which trials share other values."""
    base = copy_of(plan.base)
    for key, value in values.items():
        OmegaConf.update(base, key, value, merge=False)
    return Plan(plan.question, plan.composer, plan.refusals, base, plan.data, plan.space)


def claimed(plan: Plan, **comparison: Any) -> Plan:
    """Returns a copy of the plan with a claim of one comparison, as a study file has it."""
    content = {"text": "so", "comparisons": [{"relation": "higher", **comparison}]}
    return changed(plan, **{"study.claim": OmegaConf.merge(OmegaConf.structured(ClaimConf), content)})


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
def test_claim_that_the_grid_can_decide_is_accepted(comparison: dict[str, Any]) -> None:
    claimed(planned(*KERNELS), **comparison).check_claim()


SIDES = "{of:{model.kernel_size:5},relation:higher,than:{model.kernel_size:3}}"


@pytest.mark.parametrize(
    "overrides",
    [
        (f"study.claim={{text:so,comparisons:[{SIDES}]}}",),
        ("study.claim.text=so", f"study.claim.comparisons=[{SIDES}]"),
        (f"++study.claim={{text:so,comparisons:[{SIDES}]}}",),
    ],
)
def test_a_claim_may_be_given_on_the_command_line(overrides: tuple[str, ...]) -> None:
    plan = planned(*KERNELS, *overrides)
    plan.check_claim()
    assert plan.base.study.claim == claimed(plan, **LARGER).base.study.claim
    assert planned("study=filter_size", *overrides).base.study.claim == plan.base.study.claim


@pytest.mark.parametrize("arguments", [KERNELS, ("study=filter_size", "study.claim=null")])
def test_a_sweep_has_no_claim_unless_one_is_given(arguments: tuple[str, ...]) -> None:
    assert planned(*arguments).base.study.claim is None


def test_a_text_alone_is_no_claim() -> None:
    with pytest.raises(ConfigError, match="study.claim needs a text and a comparison"):
        planned(*KERNELS, "study.claim.text=so").check_claim()


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
def test_claim_that_the_grid_cannot_decide_is_refused(comparison: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"study.claim.comparisons\[0\] could not be tested: this grid trains"
    ):
        claimed(planned(*KERNELS), **comparison).check_claim()


def test_a_key_of_a_swept_option_is_accepted() -> None:
    where = {"where": {"optimizer.momentum": 0.9}}
    claimed(planned(*KERNELS, "optimizer=adam,sgd"), **LARGER | where).check_claim()


@pytest.mark.parametrize("key", ["training", "augment", "optimizer.momentum"])
def test_a_key_that_no_run_records_is_named(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        claimed(planned(*KERNELS), **LARGER | {"where": {key: "default"}}).check_claim()
    assert str(refused.value) == (
        f"study.claim.comparisons[0] names {key}, which no run of this grid records. "
        "Name an axis, or a key that its trials have, as in training.epochs."
    )


def test_a_malformed_claim_is_refused_with_its_message() -> None:
    with pytest.raises(ConfigError, match=r"^study.claim.comparisons\[0\].relation must be one of"):
        claimed(planned(*KERNELS), **LARGER | {"relation": "better"}).check_claim()


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_a_measure_that_no_run_has_is_refused(sampler: str) -> None:
    with pytest.raises(ConfigError, match="no run has that metric. Did you mean val_accuracy"):
        claimed(planned(*KERNELS, f"sampler={sampler}"), **LARGER | {"measure": "val_acuracy"}).check_claim()


def test_measures_of_a_users_function_are_not_checked() -> None:
    own = planned(*KERNELS, "trial.target=benchmarks.targets:instant")
    claimed(own, **LARGER | {"measure": "val_acuracy"}).check_claim()


OWN = ("trial.target=benchmarks.targets:instant", "+training.temperature=1,2", "+training.rate=0.1")


def test_a_claim_may_name_keys_added_for_a_users_function() -> None:
    hotter = {"of": {"training.temperature": 2}, "relation": "higher", "than": {"training.temperature": 1}}
    claimed(planned(*OWN), **hotter, where={"training.rate": 0.1}).check_claim()
    with pytest.raises(ConfigError, match="names training.rates, but there is no such key. Did you mean"):
        claimed(planned(*OWN), **hotter, where={"training.rates": 0.1}).check_claim()
    with pytest.raises(
        ConfigError, match="could not be tested: this grid trains nothing on one of its sides"
    ):
        claimed(planned(*OWN), **hotter | {"of": {"training.temperature": 3}}).check_claim()


def test_a_claim_on_a_tuned_key_is_refused() -> None:
    nuisance = "study.nuisance={optimizer.learning_rate:'choice(0.001,0.01)'}"
    with pytest.raises(ConfigError) as refused:
        claimed(
            planned(*KERNELS, nuisance), **LARGER | {"where": {"optimizer.learning_rate": 0.001}}
        ).check_claim()
    assert str(refused.value).startswith(
        "study.claim.comparisons[0] names optimizer.learning_rate, which study.nuisance tunes for each"
    )
    group = "study.nuisance={schedule:'choice(constant,cosine)'}"
    with pytest.raises(ConfigError, match="names schedule.name, which study.nuisance tunes for each"):
        claimed(planned(*KERNELS, group), **LARGER | {"where": {"schedule.name": "cosine"}}).check_claim()


def test_trials_of_a_search_are_not_checked() -> None:
    claimed(planned(*KERNELS, "sampler=tpe"), **LARGER | {"than": {"model.kernel_size": 7}}).check_claim()


def test_without_a_claim_there_is_nothing_to_check() -> None:
    planned(*KERNELS).check_claim()


@pytest.mark.parametrize(
    ("arguments", "notes"),
    [
        ("study=shuffle", []),
        ("study=shuffle study.repeats=3", []),
        ("study=shuffle study.repeats=2", [SEEDS.format(2)]),
        ("study=shuffle study.repeats=1", [SEEDS.format(1)]),
        ("study=shuffle study.repeats=1 data.split_seed=0,1,2", []),
        ("study=shuffle training.epochs=3", [EPOCHS.format(3)]),
        ("study=shuffle training.epochs=4", []),
        ("study=shuffle training.epochs=3,6", []),
        ("study=shuffle training.epochs=3 trial.target=benchmarks.targets:instant", []),
        ("study=filter_size training.epochs=1", []),
        ("study=shuffle study.repeats=1 debug=fast", [SEEDS.format(1), EPOCHS.format(1)]),
        ("study=quickstart", []),
    ],
)
def test_claim_that_lacks_seeds_or_epochs_gives_a_note(arguments: str, notes: list[str]) -> None:
    values = [each for each in arguments.split() if "." in each.partition("=")[0] and "," not in each]
    plan = planned(*(each for each in arguments.split() if each not in values))
    assert list(changed(plan, **dict(each.split("=") for each in values)).notes()) == notes


def test_a_sweep_begins_with_the_note(
    folder: Path,
    context: HydraContext,
    compose: Callable[[list[str]], DictConfig],
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_database(folder)
    given = ["study=shuffle", "study.repeats=1", "training.batch_size=16", "workers=1"]
    given.append("trial.target=benchmarks.targets:instant")
    conduct(context, compose(given), given, {})
    printed = capsys.readouterr().out
    assert f"note: {SEEDS.format(1)}" in printed.splitlines()
    assert "finished: all 2 trials are done" in printed
