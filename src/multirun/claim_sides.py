"""Refuses a claim that a grid's runs could never decide, before they are trained."""

from src.config.check_claim import check_claim
from src.errors import ConfigError
from src.multirun.plan import Plan
from src.report.claims import FEWEST_SEEDS, Observation, find
from src.tracking.description import run_params
from src.tracking.names import tag_text


def check_sides(plan: Plan) -> None:
    """Raise ConfigError for a broken claim, or where a full grid has not both sides of a comparison.

    What a search will have tried cannot be known.
    """
    claim = plan.base.study.claim
    if claim is None:
        return
    check_claim(claim)
    if plan.base.sampler.name != "grid":
        return
    fixed = run_params(plan.base)
    trained = [
        fixed | {key: tag_text(value) for key, value in params.items()}
        for params in plan.space.configurations()
        if plan.refusal(params) is None
    ]
    for number, comparison in enumerate(claim.comparisons):
        keys = {*comparison.of, *comparison.than, *comparison.where, comparison.spread_over}
        names = {axis.key for axis in plan.space.axes} | keys
        observations = [
            Observation(
                {key: each[key] for key in names if key in each}, str(seed), {comparison.measure: 0.0}
            )
            for each in trained
            for seed in range(FEWEST_SEEDS)
        ]
        missing = find(comparison, observations).missing
        if missing is not None:
            raise ConfigError(
                f"study.claim.comparisons[{number}] could not be tested: this grid trains nothing on one of "
                "its sides, or nothing with all else equal. Name values that study.space has."
            )
