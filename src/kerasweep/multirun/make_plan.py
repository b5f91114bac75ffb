"""Checks the question of a sweep as a whole, and makes its plan; nothing is recorded before."""

from itertools import pairwise

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.check import check_shared
from kerasweep.config.interpolations import as_job, resolve_shared_tags
from kerasweep.config.schemas import REPEATED_KEYS, run_keys
from kerasweep.config.search import ClaimConf
from kerasweep.config.unread_keys import check_command
from kerasweep.errors import ConfigError
from kerasweep.multirun.code_digests import check_targets
from kerasweep.multirun.composer import Composer, without_hydra
from kerasweep.multirun.constraints import read_study_constraints
from kerasweep.multirun.experiments import check_experiments, experiment_configs
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.question import Question
from kerasweep.multirun.refusals import Refusals
from kerasweep.multirun.sweep_data import read_sweep_data
from kerasweep.multirun.unread_axes import check_axes_are_read
from kerasweep.search.pruners import build_pruner
from kerasweep.search.samplers import check_sampler
from kerasweep.space.space import Space
from kerasweep.tracking.tags import check_user_tags, short_names

SEED = REPEATED_KEYS[0]


def make_plan(question: Question, composer: Composer) -> Plan:
    """Checks a question, reads the data that its trials share, and returns the plan.

    Raises:
        ConfigError: The sampler does not suit the space, or no configuration is possible.
        DataError: The data cannot be read.
    """
    constraints = read_study_constraints(question, composer)
    refusals = Refusals(question.searched, composer, constraints)
    base = without_hydra(question.master)
    with as_job(question.master):
        resolve_shared_tags(base)
    check_shared(base)
    are_data_swept = refusals.sweeps_data
    check_command(base, question.master.hydra, are_data_swept)
    refusals.check_values()
    check_experiments(question.searched, composer)
    constraints.check_types()
    if question.searched.is_finite:
        refusals.check_some_possible()
    _check_budget(base.budget, question.searched)
    _check_seeds(base.study, question.searched)
    if base.study.claim == OmegaConf.structured(ClaimConf):
        base.study.claim = None
    _check_nuisance_trials(base.study)
    check_axes_are_read(base, question.searched)
    check_targets(base, question.searched)
    data = read_sweep_data(base, question.searched, composer, refusals.data_of)
    plan = Plan(question, composer, refusals, base, data, question.space)
    names = short_names([axis.key for axis in question.searched.axes], run_keys())
    for cfg in (base, *experiment_configs(question.searched, composer)):
        check_user_tags(cfg.tracking.tags, names.values())
    build_pruner(base.pruner, base.training.epochs)
    if not question.nuisance.axes:
        check_sampler(base.sampler, plan.space, len(plan.directions))
    return plan


def _check_nuisance_trials(study: DictConfig) -> None:
    if study.nuisance_trials is not None and not study.nuisance:
        raise ConfigError(
            f"study.nuisance_trials={study.nuisance_trials} tunes the axes of study.nuisance, but there are "
            "none. Name some there, or use study.trials."
        )


def _check_seeds(study: DictConfig, space: Space) -> None:
    """Raises ConfigError for two kinds of repeats, of which some would have the same seed."""
    if study.repeats == 1:
        return
    seeds = next((axis.values() or [] for axis in space.axes if axis.name == SEED), [])
    few = seeds[:2] if isinstance(seeds, range) else seeds  # a range may have billions, at equal distances
    numbers = sorted(int(str(seed)) for seed in few)
    if any(following - number < study.repeats for number, following in pairwise(numbers)):
        raise ConfigError(
            f"{SEED} is an axis, and study.repeats={study.repeats} counts it up for each repeat: some "
            "trainings would be the same. Use study.repeats alone."
        )


def _check_budget(budget: DictConfig, space: Space) -> None:
    """Raises ConfigError for a search that a single lucky seed would end."""
    repeated = next((axis.key for axis in space.axes if axis.name in REPEATED_KEYS), None)
    for key in ("target", "patience"):
        if repeated is not None and budget[key] is not None:
            raise ConfigError(
                f"budget.{key} looks at single trials, but {repeated} repeats them: one lucky seed could end "
                "the sweep. Use study.repeats in place of this axis, as in study.repeats=5: then a trial is "
                "the mean of its seeds."
            )
