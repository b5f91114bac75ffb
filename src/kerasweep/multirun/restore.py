"""Restores trials that the storage has lost from their runs: a journal was deleted, emptied, or is older."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.results import RETURNED, WEIGHTS, Outcome, State
from kerasweep.search.lost_trials import LostTrial, add_trials
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Axis, Params, Value
from kerasweep.terminal import say
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import RunKind, tag_text

Runs = Mapping[int, Sequence[RunRecord]]  # the runs of each trial: its own, and those of its repeats


def restore_trials(plan: Plan, sweep: Sweep) -> Sweep:
    """Adds the trials that have a run and are not in the storage.

    Else they would be trained again, and recorded twice below one parent.

    Returns:
        The sweep; its next generation if the storage has no trial, and the runs do not tell all of each.

    Raises:
        ConfigError: The storage has some trials, and the runs do not tell the others.
    """
    runs = _runs(plan, sweep)  # read first: a trial is in the storage before it has a run
    if not runs:
        return sweep
    with sweep.lock():
        have = len(sweep.study.get_trials(deepcopy=False))
        numbers = range(have, max(runs) + 1)
        if not numbers:
            return sweep
        trials = [_lost_trial(plan, sweep, runs.get(number, ())) for number in numbers]
        told = [trial for trial in trials if trial is not None]
        if len(told) == len(trials):
            add_trials(sweep, told)
            _say_restored(sweep, told)
            return sweep
    if have:
        raise ConfigError(
            f"MLflow has trials of {sweep.name} that its storage lacks: it is older. Restore it, or begin "
            "anew with study.fresh=true."
        )
    begun = plan.open_sweep(fresh=True)
    say(f"note: the storage has lost the trials of {sweep.name}; their runs stay, and {begun.name} begins")
    return begun


def _runs(plan: Plan, sweep: Sweep) -> Runs:
    found: dict[int, list[RunRecord]] = {}
    kinds = (RunKind.TRIAL, RunKind.REPEAT) if plan.arms is None else (RunKind.TUNING,)
    for kind in kinds:
        for run in find_runs(plan.base.tracking, {"sweep": sweep.name, "kind": kind}):
            if run.tags.get("trial", "").isdigit():
                found.setdefault(int(run.tags["trial"]), []).append(run)
    return found


def _say_restored(sweep: Sweep, trials: Sequence[LostTrial]) -> None:
    count = sum(trial.outcome is not None for trial in trials)
    if count:
        say(f"note: the storage had lost trials of {sweep.name}: {count} are taken from their runs in MLflow")


def _lost_trial(plan: Plan, sweep: Sweep, runs: Sequence[RunRecord]) -> LostTrial | None:
    """Returns what these runs tell of their trial; None if they do not tell all of it."""
    own = next((run for run in runs if run.tags["kind"] != RunKind.REPEAT), None)
    if own is None:
        return LostTrial()
    complete = {
        int(run.tags["repeat"]): _outcome(sweep, run)
        for run in runs
        if run.tags["kind"] == RunKind.REPEAT and run.tags.get("state") == State.COMPLETE
    }
    has_ended = own.tags.get("state") in RETURNED
    if not (has_ended or complete):
        return LostTrial()
    if len(plan.directions) > 1 or sweep.by_repeat:
        return None
    params = _params(sweep, own.tags, plan.short_names())
    if params is None:
        return None
    seeds = tuple(complete[repeat].values[0] for repeat in sorted(complete))
    return LostTrial(params, _outcome(sweep, own, seeds) if has_ended else None, complete)


def _outcome(sweep: Sweep, run: RunRecord, seeds: tuple[float, ...] = ()) -> Outcome:
    """Returns the outcome that a run records."""
    objective, epoch = run.metrics.get("objective"), run.metrics.get("best_epoch")
    folder = Path(run.tags["trial"], *([f"seed-{run.tags['repeat']}"] if "repeat" in run.tags else []))
    has_weights = (sweep.jobs / folder / WEIGHTS).exists()
    return Outcome(
        run.tags["state"],
        run.run_id,
        () if objective is None else (objective,),
        run.metrics,
        None if epoch is None else int(epoch),
        run.metrics.get("seconds", 0.0),
        run.tags.get("reason"),
        seeds=seeds,
        weights=str(folder / WEIGHTS) if has_weights else None,
    )


def _params(sweep: Sweep, tags: Mapping[str, str], names: Mapping[str, str]) -> Params | None:
    """Returns the configuration that a run's tags name, None if they do not."""
    params: Params = {}
    for axis in sweep.space.axes:
        if sweep.space.applies(axis, params):
            values = _values(axis, tags.get(names[axis.key], ""))
            if not values:
                return None
            params[axis.key] = values[0]
    return params


def _values(axis: Axis, text: str) -> list[Value]:
    """Returns the value of an axis that has this text, if there is one."""
    values = axis.values()
    if values is not None and not isinstance(values, range):
        return [value for value in values if tag_text(value) == text]
    try:
        return [float(text) if values is None else int(text)]
    except ValueError:
        return []
