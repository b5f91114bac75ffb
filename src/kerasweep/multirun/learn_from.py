"""Reads the sweeps of `study.learn_from`: the sampler sees their trials, and nothing else does."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import ListConfig

from kerasweep.errors import ConfigError, first_names, suggestion
from kerasweep.multirun.plan import Plan
from kerasweep.search.learned_trials import (
    MIN_FOR_CMAES,
    as_learned,
    is_informative,
    needed_axes,
    shared_params,
)
from kerasweep.search.storage import OtherDirectionsError
from kerasweep.search.study import distributions_of
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import members_of
from kerasweep.space.space import Space, signature
from kerasweep.sweep.adopted_trials import ADOPTED
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.tags import RunKind, objective_text

MAX_NAMED = 5


@dataclass(frozen=True)
class _Lesson:
    """What a sampler learns from another sweep."""

    trials: tuple[Any, ...]  # Optuna's, as the sampler sees them
    note: str  # for the user


def check_learn_from(plan: Plan) -> None:
    """Checks study.learn_from before anything is recorded.

    Raises:
        ConfigError: A sweep does not exist, has another objective, or has no trial in this space.
    """
    if not plan.base.study.learn_from:
        return
    if plan.question.nuisance.axes:
        raise ConfigError(
            "study.learn_from shows a sampler the trials of other sweeps, but study.nuisance tunes each "
            "combination by its own trials alone. Leave one of them out."
        )
    for name in _names(plan):
        _open(plan, name)
        _check_objective(plan, name)
    known = [trial for lesson in _lessons(plan, plan.space) for trial in lesson.trials]
    complete = sum(trial.values is not None for trial in known)
    if plan.base.sampler.name == "cmaes" and complete < MIN_FOR_CMAES:
        raise ConfigError(
            f"sampler=cmaes learns from the best tenth of at least {MIN_FOR_CMAES} complete trials, but "
            f"study.learn_from has {complete}. Use sampler=tpe, or name a larger sweep."
        )


def with_learned_trials(plan: Plan, sweep: Sweep) -> Sweep:
    """Returns the sweep with the trials of study.learn_from, as they are now, and a note on each sweep.

    Raises:
        ConfigError: As check_learn_from.
    """
    if not plan.base.study.learn_from:
        return sweep
    lessons = _lessons(plan, sweep.space, sweep.study)
    learned = tuple(trial for lesson in lessons for trial in lesson.trials)
    return replace(sweep, learned=learned, notes=(*sweep.notes, *(lesson.note for lesson in lessons)))


def _names(plan: Plan) -> list[str]:
    """Returns the names of the sweeps, each once: a study's name means its only sweep.

    Raises:
        ConfigError: A study has several sweeps.
    """
    known = plan.storage.names()
    given = plan.base.study.learn_from
    names = {str(name): [str(name)] for name in (given if isinstance(given, ListConfig) else [given])}
    for name in set(names) - set(known):
        sweeps = [other for other in known if re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8}}(-\d+)?", other)]
        if len(sweeps) > 1:
            among = first_names(sweeps, MAX_NAMED)
            raise ConfigError(
                f"study.learn_from names {name}, a study with {len(sweeps)} sweeps: {among}. Name one."
            )
        names[name] = sweeps or [name]
    return list(dict.fromkeys(sweep for sweeps in names.values() for sweep in sweeps))


def _open(plan: Plan, name: str) -> Any:
    """Opens the study of a sweep that exists and is not this one."""
    known = plan.storage.names()
    if name not in known:
        among = suggestion(name, known, "The header of a sweep begins with its name.")
        raise ConfigError(
            f"study.learn_from names {name}, which is no sweep of {plan.storage.folder}. {among}"
        )
    if name == plan.name(plan.base.study.fresh):
        raise ConfigError(
            f"study.learn_from names {name}, which is this sweep: its sampler sees its trials anyway. "
            "Leave it out, or name another one."
        )
    try:
        return plan.storage.open(name, plan.directions)
    except OtherDirectionsError as error:
        raise _other_objective(plan, name, ", ".join(error.directions)) from error


def _check_objective(plan: Plan, name: str) -> None:
    """Compares the metrics by MLflow's tag of the sweep; without its run, the directions alone count."""
    runs = find_runs(plan.base.tracking, {"sweep": name, "kind": RunKind.STUDY}, max_runs=1)
    objective = runs[0].tags.get("objective") if runs else None
    if objective not in (None, objective_text(plan.base)):
        raise _other_objective(plan, name, str(objective))


def _other_objective(plan: Plan, name: str, objective: str) -> ConfigError:
    return ConfigError(
        f"study.learn_from names {name}, whose objective is {objective}, but this sweep's is "
        f"{objective_text(plan.base)}. Name sweeps with the same objective."
    )


def _lessons(plan: Plan, space: Space, study: Any | None = None) -> list[_Lesson]:
    names = _names(plan)
    return [_lesson(plan, space, name, names, study) for name in names]


def _lesson(plan: Plan, space: Space, name: str, names: Sequence[str], study: Any | None) -> _Lesson:
    """Returns the trials of a sweep that lie inside the space.

    A trial that one of the other sweeps, or this one, adopted is seen once.
    """
    other, sampler = _open(plan, name), plan.base.sampler.name
    trials = [trial for trial in other.get_trials(deepcopy=False) if is_informative(trial)]
    if not trials:
        raise ConfigError(
            f"study.learn_from names {name}, but none of its trials is complete. Wait for its first one, or "
            "leave it out."
        )
    there = {member.lstrip("+") for key in distributions_of(other) for member in members_of(key)}
    _check_axes(space, sampler, name, there)
    inside = [(trial, params) for trial in trials if (params := shared_params(space, trial))]
    if not inside:
        axes = "; ".join(f"{axis.key} is {axis.describe()}" for axis in space.axes)
        raise ConfigError(
            f"study.learn_from names {name}, but all its {len(trials)} trials lie outside this space: here "
            f"{axes}. Widen an axis, or leave it out."
        )
    own = study.get_trials(deepcopy=False) if study is not None else []
    adopted = {signature(trial.params) for trial in own if trial.user_attrs.get(ADOPTED) == name}
    sweeps = {*names, *([study.study_name] if study is not None else [])}
    learned = tuple(
        as_learned(space, sampler, trial, params)
        for trial, params in inside
        if trial.user_attrs.get(ADOPTED) not in sweeps and signature(params) not in adopted
    )
    count = "1 trial" if len(learned) == 1 else f"{len(learned)} trials"
    outside = len(trials) - len(inside)
    others = "1 other lies" if outside == 1 else f"{outside} others lie"
    left = f"; {others} outside this space" if outside else ""
    return _Lesson(learned, f"the sampler learns from {count} of {name}, too{left}")


def _check_axes(space: Space, sampler: str, name: str, there: set[str]) -> None:
    """Raises ConfigError for a sweep without a common axis, or without one that the sampler needs."""
    if not any(axis.name in there for axis in space.axes):
        here = ", ".join(axis.key for axis in space.axes)
        raise ConfigError(
            f"study.learn_from names {name}, which has no axis of this sweep: its axes are "
            f"{', '.join(sorted(there))}, but here they are {here}. Name a sweep with one of these."
        )
    missing = [axis.key for axis in needed_axes(sampler, space) if axis.name not in there]
    if missing:
        raise ConfigError(
            f"study.learn_from names {name}, which lacks the axis {missing[0]}, but sampler={sampler} learns "
            "only from trials with values of all axes that it searches. Use sampler=tpe, or leave it out."
        )
