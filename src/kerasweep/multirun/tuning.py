"""Plans the two sweeps of a study with nuisance axes: each arm's tuning, then the comparison of the arms.

An arm is a combination of the axes that the study compares. At one learning rate, "batch 16 beats 256" is a
statement about that rate; with each arm at its own best rate it is one about batch sizes.
"""

from collections.abc import Iterator, Sequence

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.search import PrunerConf, SamplerConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.composer import copy_of
from kerasweep.multirun.plan import Plan, TunedBy
from kerasweep.multirun.refusals import Refusals
from kerasweep.search.arms import Arms
from kerasweep.search.pruners import PrunerInput, pruner_input
from kerasweep.search.samplers import check_sampler
from kerasweep.space.axis import ListedSpace, Params, Space, Value

DEFAULT_TRIALS = 10
# Optuna keeps what these have learned, or how far they are, in the study or its storage, not by combination.
SHARED_STATE = {"sampler": ("qmc", "nsga2"), "pruner": ("hyperband",)}
INSTEAD = {"sampler": "tpe", "pruner": "asha"}


def tuning_plan(plan: Plan) -> Plan:
    """Returns the plan of the sweep that tunes the nuisance axes of every arm.

    Raises:
        ConfigError: The arms cannot be listed, the sampler does not suit, or an option has no meaning here.
    """
    question, base = plan.question, copy_of(plan.base)
    _check(plan)
    arms, refused = _arms(plan)
    if not arms:
        raise ConfigError(f"No combination of study.space can be trained. The first one: {refused[0][1]}")
    trials, is_grid = _trials_of_arms(plan, arms)
    check_sampler(base.sampler, question.nuisance, 1)
    if is_grid:
        base.sampler = _grid(base)
    base.study.repeats, base.study.claim = 1, None
    if pruner_input(base.pruner.name) is PrunerInput.REPEATS:
        base.pruner = OmegaConf.structured(PrunerConf("none"))
    keys = frozenset(axis.key for axis in question.space.axes)
    of_arms = Arms(keys, tuple(arms), trials)
    refusals = plan.refusals
    return Plan(
        question, plan.composer, refusals, base, plan.data, question.searched, of_arms, tuple(refused)
    )


def comparison_plan(plan: Plan, configurations: Sequence[Params], tuned_by: TunedBy | None = None) -> Plan:
    """Returns the plan of the sweep that compares the arms, each in one configuration.

    Args:
        plan: The plan of the whole study.
        configurations: The configuration of each arm.
        tuned_by: The sweep that tuned them, None before it has ended.
    """
    searched, base = plan.question.searched, copy_of(plan.base)
    space = ListedSpace(searched.axes, searched.fixed, tuple(configurations))
    base.sampler = _grid(base)
    if pruner_input(base.pruner.name) is not PrunerInput.REPEATS:  # epochs were compared while tuning
        base.pruner = OmegaConf.structured(PrunerConf("none"))
    refusals = Refusals(space, plan.composer, plan.refusals.constraints)
    return Plan(plan.question, plan.composer, refusals, base, plan.data, space, tuned_by=tuned_by)


def examples(plan: Plan) -> list[Params]:
    """Returns one possible configuration of each arm, for what does not depend on the nuisance values."""
    return [found for arm in _every_arm(plan) if isinstance(found := _example(plan, arm), dict)]


def _trials_of_arms(plan: Plan, arms: Sequence[Params]) -> tuple[tuple[int, ...], bool]:
    """Returns how many trials each arm gets, and whether these are all of its configurations."""
    base, searched = plan.base, plan.question.searched
    asked, is_grid = base.study.nuisance_trials, base.sampler.name == "grid"
    if not searched.is_finite:
        if is_grid:
            raise ConfigError(
                "sampler=grid tries every combination of study.nuisance, but it has an interval. "
                "Choose another sampler, as in sampler=tpe."
            )
        return (int(asked or DEFAULT_TRIALS),) * len(arms), False
    configurations = list(searched.configurations())
    sizes = [sum(arm.items() <= params.items() for params in configurations) for arm in arms]
    if is_grid and asked is not None and asked < max(sizes):
        raise ConfigError(
            f"sampler=grid tries every combination of study.nuisance, but there are {max(sizes)} and "
            f"study.nuisance_trials={asked}. Choose another sampler, as in sampler=tpe."
        )
    most = max(sizes) if is_grid else int(asked or DEFAULT_TRIALS)
    trials = tuple(min(size, most) for size in sizes)
    return trials, list(trials) == sizes


def _check(plan: Plan) -> None:
    base, space = plan.base, plan.question.space
    if len(plan.directions) > 1:
        raise ConfigError(
            f"study.nuisance tunes for one objective, but there are {len(plan.directions)}. "
            "Sweep these axes in study.space instead."
        )
    for group, names in SHARED_STATE.items():
        if base[group].name in names:
            raise ConfigError(
                f"{group}={base[group].name} would mix the combinations of study.space in a tuning: "
                f"it keeps its state for the whole study. Use {group}={INSTEAD[group]}."
            )
    tuned = {axis.name for axis in plan.question.nuisance.axes}
    for axis in space.axes:
        if tuned & set(axis.conditions):
            raise ConfigError(
                f"study.space.{axis.key} has a condition on {min(tuned & set(axis.conditions))}, which "
                "study.nuisance tunes. What is compared must not depend on what is tuned: move one of them."
            )
    for key in ("target", "patience"):
        if base.budget[key] is not None:
            raise ConfigError(
                f"budget.{key} ends a search, but with study.nuisance each arm has its own. "
                "Use study.nuisance_trials or budget.hours."
            )
    if not space.is_finite:
        endless = next((axis.key for axis in space.axes if axis.values() is None), "it has too many")
        raise ConfigError(
            f"study.nuisance is tuned for each combination of study.space, but {endless} is an interval. "
            "List its values with choice(...) or range(...), or move it to study.nuisance."
        )
    arms = sum(1 for _ in space.configurations())
    if base.study.trials is not None and base.study.trials < arms:
        raise ConfigError(
            f"study.trials={base.study.trials} limits a search, but with study.nuisance all {arms} "
            "combinations of study.space are compared. Remove study.trials, or name fewer values there."
        )


def _grid(base: DictConfig) -> DictConfig:
    cfg: DictConfig = OmegaConf.structured(SamplerConf("grid", int(base.sampler.seed)))
    return cfg


def _arms(plan: Plan) -> tuple[list[Params], list[tuple[Params, str]]]:
    """Returns the arms that can be trained, and the others with their reasons."""
    possible, refused = [], []
    for arm in _every_arm(plan):
        example = _example(plan, arm)
        if isinstance(example, str):
            refused.append((arm, example))
        else:
            possible.append(arm)
    return possible, refused


def _every_arm(plan: Plan) -> Iterator[Params]:
    return plan.question.space.configurations()


def _example(plan: Plan, arm: Params) -> Params | str:
    """Returns a configuration of the arm that can be trained, or why it has none."""
    reason = ""
    for params in _completions(plan.question.searched, arm):
        refused = plan.refusal(params)
        if refused is None:
            return params
        reason = reason or refused
    return reason


def _completions(searched: Space, arm: Params) -> Iterator[Params]:
    """Yields configurations of an arm: all of a finite space, else those of the ends of each interval."""
    if searched.is_finite:
        yield from (params for params in searched.configurations() if arm.items() <= params.items())
        return
    for place in (0, -1):
        params: Params = {}
        for axis in searched.axes:
            if searched.applies(axis, params):
                own: Value = arm[axis.key] if axis.key in arm else axis.ends()[place]
                params[axis.key] = own
        yield params
