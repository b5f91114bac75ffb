"""Refuses a claim that a sweep's runs could never decide, before they are trained."""

from collections.abc import Sequence

from kerasweep.config.check_claim import check_claim, check_measures
from kerasweep.config.search import ClaimConf, ComparisonConf, TrialConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.report.claims import MIN_SEEDS, find
from kerasweep.report.pairs import Observation
from kerasweep.report.selection import SEED
from kerasweep.report.verdicts import named_keys, observations
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import axis_tags, run_params, trial_tags


def check_sides(plan: Plan) -> None:
    """Raise ConfigError for a broken claim, or where a full grid has not both sides of a comparison.

    What a search will have tried cannot be known, nor what a training function of one's own measures.
    """
    claim = plan.base.study.claim
    if claim is None:
        return
    check_claim(claim)
    if plan.base.trial.target == TrialConf.target:
        check_measures(claim)
    if plan.base.sampler.name != "grid":
        return
    found = observations(claim, _foreseen(plan, claim), list(plan.short_names().values()))
    for number, comparison in enumerate(claim.comparisons):
        _check_keys(f"study.claim.comparisons[{number}]", comparison, found)
        if find(comparison, found).missing is not None:
            raise ConfigError(
                f"study.claim.comparisons[{number}] could not be tested: this grid trains nothing on one of "
                "its sides, or nothing with all else equal. Name values that study.space has."
            )


def _check_keys(name: str, comparison: ComparisonConf, found: Sequence[Observation]) -> None:
    """Raise ConfigError for a key that no run has a value of, SEED apart."""
    seen = {key for each in found for key in each.choices} | {SEED}
    for key in named_keys(comparison):
        if key not in seen:
            raise ConfigError(
                f"{name} names {key}, which no run of this grid records. "
                "Name an axis, or a key that its trials have, as in training.epochs."
            )


def _foreseen(plan: Plan, claim: ClaimConf) -> list[RunRecord]:
    """The grid's runs as they will be recorded, each configuration with as many seeds as a claim takes.

    What is no axis depends on the chosen groups alone, and composing takes milliseconds.
    """
    names = plan.short_names()
    measures = {comparison.measure: 0.0 for comparison in claim.comparisons}
    groups = {axis.key for axis in plan.space.axes if axis.is_group}
    composed: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    runs = []
    for params in plan.space.configurations():
        if plan.refusal(params) is not None:
            continue
        chosen = {key: value for key, value in params.items() if key in groups}
        if str(chosen) not in composed:
            cfg, choices = plan.composer.compose(chosen), plan.composer.choices(chosen)
            composed[str(chosen)] = run_params(cfg), trial_tags(cfg, choices, chosen, names)
        recorded, tags = composed[str(chosen)]
        tags = {**tags, **axis_tags(params, names), "state": State.COMPLETE}
        runs += [
            RunRecord("", "", "FINISHED", tags, {**recorded, SEED: str(seed)}, measures, 0.0, None)
            for seed in range(MIN_SEEDS)
        ]
    return runs
