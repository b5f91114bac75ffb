"""Every study can be planned, and its trials can decide its claim."""

from functools import cache
from pathlib import Path

import pytest

from kerasweep.config import check
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.tuning import comparison_plan, examples
from kerasweep.report.claims import MIN_SEEDS, evaluate
from kerasweep.report.pairs import Observation
from kerasweep.space.rows import Params
from kerasweep.tracking.tags import flatten, tag_text
from kerasweep.trial.metrics import MIN_EPOCHS
from tests.compositions import plan_of

STUDIES = sorted(path.stem for path in Path(__file__).parents[2].glob("sweeps/study/*.yaml"))
# The number of configurations in each grid; searches have none.
CONFIGURATIONS = {
    "batch_norm": 5,
    "batch_size": 12,
    "downsampling": 3,
    "feature_scaling": 3,
    "filter_size": 8,
    "filters_and_depth": 12,
    "head": 6,
    "initializer": 24,
    "initializer_with_batch_norm": 12,
    "learning_rate_schedule": 6,
    "augmentation": 4,
    "best_checkpoint": 2,
    "dropout": 3,
    "early_stopping": 3,
    "optimizer": 4,
    "regularizer": 19,
    "shuffle": 4,
}
WITHOUT_CLAIM = ("filters_and_depth", "full_search", "optimizer", "quickstart")
# The grids that train each configuration as it is.
UNTUNED = ("augmentation", "best_checkpoint", "early_stopping", "regularizer", "shuffle")
TUNED = set(CONFIGURATIONS) - set(UNTUNED)


@cache
def planned(study: str) -> Plan:
    return plan_of(f"study={study}")


def trained(plan: Plan) -> list[Observation]:
    """Returns the runs of the study as a claim reads them: their choices and all measures."""
    found = []
    for params in plan.question.space.configurations():
        cfg = plan.composer.compose(params)
        measures = dict.fromkeys(
            (
                *("objective", "val_accuracy", "cpu_seconds", "epoch_cpu_seconds"),
                *("generalization_gap", "best_epoch_gain"),
            ),
            0.5,
        )
        measures |= {"epoch_variability": 0.1} if cfg.training.epochs >= MIN_EPOCHS else {}
        for seed in range(cfg.study.repeats):
            found.append(Observation(texts(params), str(seed), measures))
    return found


def texts(params: Params) -> dict[str, str]:
    return {key: tag_text(value) for key, value in flatten(params).items()}


@pytest.mark.parametrize("study", STUDIES)
def test_study_has_the_axes_of_its_file(study: str) -> None:
    asked = planned(study)
    cfg = asked.base
    assert cfg.study.name == study and cfg.study.question.endswith("?")
    check(cfg)
    assert asked.left_out() == []
    if study in CONFIGURATIONS:
        whole = comparison_plan(asked, examples(asked)) if asked.question.nuisance.axes else asked
        assert (cfg.sampler.name, whole.total(), cfg.study.repeats) == ("grid", CONFIGURATIONS[study], 5)
        assert (study in TUNED) == bool(asked.question.nuisance.axes)
    assert (cfg.study.claim is None) == (study in WITHOUT_CLAIM)


@pytest.mark.parametrize("study", sorted(set(STUDIES) - set(WITHOUT_CLAIM)))
def test_each_comparison_of_a_claim_has_both_sides(study: str) -> None:
    asked = planned(study)
    observations = trained(asked)
    for comparison in asked.base.study.claim.comparisons:
        finding = evaluate(comparison, observations)
        assert finding.untested is None, comparison
        assert all(each.estimate.count >= MIN_SEEDS for each in finding.differences.values())
