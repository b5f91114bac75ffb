"""Checks a study with nuisance axes: what is compared must be listed, and must not depend on the tuning."""

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.space.axis import MAX_LISTABLE

# Optuna keeps what these have learned, or how far they are, in the study or its storage, not by combination.
SHARED_STATE = {"sampler": ("qmc", "nsga2", "custom"), "pruner": ("hyperband", "custom")}
INSTEAD = {"sampler": "tpe", "pruner": "asha"}


def check_nuisance(plan: Plan) -> None:
    """Raises ConfigError for a study whose combinations cannot be tuned one by one."""
    base, space = plan.base, plan.question.space
    if len(plan.directions) > 1:
        raise ConfigError(
            f"study.nuisance tunes for one objective, but there are {len(plan.directions)}. "
            "Sweep these axes in study.space instead."
        )
    for group, names in SHARED_STATE.items():
        name = base[group].name
        if name in names:
            keeps = "may keep" if name == "custom" else "keeps"
            raise ConfigError(
                f"{group}={name} would mix the combinations of study.space in a tuning: "
                f"it {keeps} its state for the whole study. Use {group}={INSTEAD[group]}."
            )
    tuned = {axis.name for axis in plan.question.nuisance.axes}
    repeated = [axis.key for axis in plan.question.searched.axes if axis.name in REPEATED_KEYS]
    if repeated:
        raise ConfigError(
            f"{repeated[0]} repeats a training, so with study.nuisance it cannot be an axis. "
            "Use study.repeats, as in study.repeats=5: each repeat has a seed, a split and a tuning."
        )
    for axis in space.axes:
        if tuned & set(axis.conditions):
            raise ConfigError(
                f"study.space.{axis.key} has a condition on {min(tuned & set(axis.conditions))}, which "
                "study.nuisance tunes. What is compared must not depend on what is tuned: move one of them."
            )
    if space.priors:
        raise ConfigError(
            f"study.space.{next(iter(space.priors))} has a prior, but with study.nuisance all its values are "
            "compared. Leave the prior out, or give it to an axis of study.nuisance."
        )
    for key in ("target", "patience"):
        if base.budget[key] is not None:
            raise ConfigError(
                f"budget.{key} ends a search, but with study.nuisance there is one for each combination. "
                "Use study.nuisance_trials or budget.hours."
            )
    if not space.is_finite:
        endless = next((axis.key for axis in space.axes if axis.values() is None), None)
        if endless is None:
            raise ConfigError(
                "study.nuisance is tuned for each combination of study.space, but there are more than "
                f"{MAX_LISTABLE:,}. Name fewer values, or move axes to study.nuisance."
            )
        raise ConfigError(
            f"study.nuisance is tuned for each combination of study.space, but {endless} is an interval. "
            "List its values with choice(...) or range(...), or move it to study.nuisance."
        )
    count = sum(1 for _ in space.configurations())
    if base.study.trials is not None and base.study.trials < count:
        raise ConfigError(
            f"study.trials={base.study.trials} limits a search, but with study.nuisance all {count} "
            "combinations of study.space are compared. Remove study.trials, or name fewer values there."
        )
