"""Reads the configurations of `study.start_with`, and enqueues them: a sweep trains them first."""

from collections.abc import Mapping
from typing import Any

from omegaconf import ListConfig, OmegaConf

from kerasweep.errors import ConfigError, suggestion
from kerasweep.multirun.plan import Plan
from kerasweep.search.ledger import counts
from kerasweep.search.sweep import Sweep
from kerasweep.search.tally import tally_of
from kerasweep.space.axis import Axis
from kerasweep.space.parse import encoded
from kerasweep.space.rows import Params
from kerasweep.space.space import Space, signature
from kerasweep.terminal import params_text

START = "start_with"  # an attribute of trials: never change it
EXAMPLE = "study.start_with=[{model.kernel_size:3}]"


def first_configurations(plan: Plan) -> list[Params]:
    """Returns the configurations of study.start_with; the sampler gives the axes that one leaves out.

    Raises:
        ConfigError: One has a key or a value outside the space, or cannot be trained, or there are too many.
    """
    entries = plan.base.study.start_with
    if not entries:
        return []
    if plan.question.nuisance.axes:
        raise ConfigError(
            "study.start_with gives a search its first trials, but study.nuisance tunes each combination by "
            "itself. Leave one of them out."
        )
    plain = OmegaConf.to_container(entries, resolve=True) if isinstance(entries, ListConfig) else [entries]
    assert isinstance(plain, list)
    configurations = [_configuration(plan.space, entry, number) for number, entry in enumerate(plain, 1)]
    for number, params in enumerate(configurations, 1):
        refused = plan.refusal(params) if _is_whole(plan.space, params) else None
        if refused is not None:
            raise ConfigError(f"Entry {number} of study.start_with cannot be trained: {refused}")
    if len(configurations) > plan.total():
        raise ConfigError(
            f"study.start_with lists {len(configurations)} trials, but the sweep has {plan.total()}. "
            "Raise study.trials, or list fewer."
        )
    return configurations


def enqueue_first(sweep: Sweep, configurations: list[Params]) -> None:
    """Enqueues the configurations that no start has enqueued or adopted, as far as the sweep's total goes.

    Call this with the sweep's lock held.
    """
    trials = sweep.study.get_trials(deepcopy=False)
    enqueued = {trial.user_attrs.get(START) for trial in trials}
    room = sweep.total - sum(map(counts, trials))
    tally = tally_of(sweep.study, sweep.space)
    for params in configurations:
        name = str(signature(params))
        if name not in enqueued and room > 0 and not tally.has_tried(params):
            sweep.study.enqueue_trial(sweep.space.recorded(params)[0], user_attrs={START: name})
            enqueued.add(name)
            room -= 1


def _configuration(space: Space, entry: Any, number: int) -> Params:
    if not isinstance(entry, Mapping) or not entry:
        raise ConfigError(
            f"Entry {number} of study.start_with must give axes their values, but got {entry}. Write it as "
            f"in {EXAMPLE}."
        )
    values = {str(key).lstrip("+"): encoded(value) for key, value in entry.items()}
    params: Params = {}
    for axis in space.axes:
        if axis.name not in values:
            continue
        given = values.pop(axis.name)
        if not axis.equal_values(given):
            raise ConfigError(
                f"Entry {number} of study.start_with has {axis.key}={given}, which is outside the space: "
                f"{axis.key} is {axis.describe()}. Name one of these, or widen the axis."
            )
        params[axis.key] = axis.equal_values(given)[0]
        missing = [key for key in axis.conditions if _is_axis(space, key) and key not in entry]
        if not missing and not space.applies(axis, params):
            raise ConfigError(
                f"Entry {number} of study.start_with has {axis.key}={given}, but there {axis.key} does not "
                f"apply: it is {axis.describe()}. Leave it out, or change the other value."
            )
    if values:
        key, known = next(iter(values)), [axis.name for axis in space.axes]
        raise ConfigError(
            f"Entry {number} of study.start_with names {key}, which is no axis. "
            + suggestion(key, known, f"The axes are {', '.join(known)}.")
        )
    for axis in space.joint:
        params |= _row(axis, params, number)
    return params


def _row(axis: Axis, params: Params, number: int) -> Params:
    """Returns the only row of a joint axis that has the values of an entry; nothing if it names none."""
    given = {key: params[key] for key in axis.members if key in params}
    rows = [axis.params_of(value) for value in axis.values() or []]
    fitting = [row for row in rows if given.items() <= row.items()]
    if given and len(fitting) != 1:
        raise ConfigError(
            f"Entry {number} of study.start_with must name one combination of {axis.key}, but "
            f"{len(fitting)} have {params_text(given)}. They are {axis.describe()}."
        )
    return fitting[0] if given else {}


def _is_axis(space: Space, key: str) -> bool:
    return any(axis.name == key for axis in space.axes)


def _is_whole(space: Space, params: Params) -> bool:
    """Returns whether each axis that applies has a value."""
    return all(
        axis.has(axis.value_in(params)) if axis.is_joint else axis.key in params
        for axis in space.drawn
        if space.applies(axis, params)
    )
