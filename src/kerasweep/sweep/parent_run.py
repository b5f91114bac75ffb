"""Opens and closes the run of a sweep, below which its trials have theirs."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig, OmegaConf
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import State
from kerasweep.search.owner import OWNER, is_alive, this_owner
from kerasweep.search.stops import Ending
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.progress import finished_trials
from kerasweep.tracking.reader import CONFIG, find_runs
from kerasweep.tracking.source import (
    DIFF,
    FIRST_DIFF,
    Code,
    command_tags,
    command_text,
    diff_artifact,
    versions_text,
)
from kerasweep.tracking.tags import CLAIM, RunKind, claim_tag, objective_text, run_params, user_tags
from kerasweep.tracking.writer import Tracker


def open_parent(
    tracker: Tracker,
    cfg: DictConfig,
    sweep: Sweep,
    study: str,
    choices: Mapping[str, str],
    axes: Sequence[str],
    more: Mapping[str, str],
    code: Code,
) -> tuple[str, bool]:
    """Reopens the run of a sweep, found by its tags, or starts one. Call this with the sweep's lock held.

    Args:
        tracker: Writes to MLflow.
        cfg: The configuration that the trials share.
        sweep: The sweep.
        study: The study's name.
        choices: A config group -> the chosen option.
        axes: The tags of the axes that are compared.
        more: Further tags of a new run.
        code: That of this start.

    Returns:
        Its id, and whether an earlier start opened it.
    """
    identity = {"sweep": sweep.name, "kind": RunKind.STUDY}
    changeable = _changeable_tags(cfg, sweep)
    earlier = find_runs(cfg.tracking, identity)
    if earlier:
        parent = earlier[0].run_id
        tracker.resume(parent)
        tracker.set_tags(parent, {**changeable, "state": State.RUNNING})
    else:
        tags = {
            **command_tags(),
            **code.tags,
            **user_tags(cfg),
            **identity,
            "study": study,
            "dataset": choices.get("data", cfg.data.source),
            "axes": ",".join(axes),
            CLAIM: claim_tag(cfg.study.claim),
            **more,
            "objective": objective_text(cfg),
            **changeable,
        }
        if cfg.study.question:
            tags["mlflow.note.content"] = cfg.study.question
        parent = tracker.start(sweep.name, tags, run_params(cfg))
    tracker.log_text(parent, OmegaConf.to_yaml(cfg), CONFIG)  # that of the latest start
    if code.diff and not earlier:
        tracker.log_text(parent, code.diff, FIRST_DIFF)
    elif code.diff and earlier[0].tags.get(DIFF) != code.tags[DIFF]:
        tracker.log_text(parent, code.diff, diff_artifact(code.tags[DIFF]))
    return parent, bool(earlier)


def close_parent(tracker: Tracker, sweep: Sweep, parent: str, state: str, ending: Ending) -> None:
    """Closes the run of a sweep. If another driver still trains this sweep, that driver closes it.

    The tag `trials` of a whole sweep is the number of its trials: a space may have fewer than requested.
    """
    running = sweep.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if running and (state == State.COMPLETE or _is_trained_elsewhere(sweep.study, running)):
        return
    if ending.is_whole:
        tracker.set_tags(parent, {"trials": str(len(finished_trials(sweep.study)))})
    tracker.finish(parent, state, ending.reason)


def _is_trained_elsewhere(study: Study, running: Sequence[FrozenTrial]) -> bool:
    """Returns whether another driver, which is alive, trains one of these trials."""
    owners = [trial.user_attrs.get(OWNER) for trial in running]
    return any(owner != this_owner() and is_alive(study, owner) for owner in owners)


def _changeable_tags(cfg: DictConfig, sweep: Sweep) -> dict[str, str]:
    """Returns the tags that may differ between starts of a sweep: MLflow refuses changed params, not tags."""
    budget = {key: value for key, value in cfg.budget.items() if value is not None}
    return {
        "sampler": cfg.sampler.name,
        "pruner": cfg.pruner.name,
        "trials": str(sweep.total),
        "budget": " ".join(f"{key}={value:g}" for key, value in budget.items()) or "none",
        "command": command_text("src.train"),
        "versions": versions_text(),
    }
