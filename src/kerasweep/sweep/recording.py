"""Keeps MLflow in step with a sweep: the parent run, a child run a trial, and their ends."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from kerasweep.errors import RefusedError
from kerasweep.results import Outcome, State, TrialRef
from kerasweep.search.ledger import MAX_RETRIES, as_outcome, counts
from kerasweep.search.stops import Ending
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params
from kerasweep.sweep.progress import finished_trials
from kerasweep.tracking.buffer import BufferedRecorder
from kerasweep.tracking.keras_model import has_model
from kerasweep.tracking.reader import CONFIG, find_runs, get_run
from kerasweep.tracking.source import command_text, git_diff, source_tags, versions_text
from kerasweep.tracking.tags import objective_text, run_params, trial_tags, user_tags
from kerasweep.tracking.writer import Tracker

DIED_AGAIN = f"its process ended before the trial did, as in {MAX_RETRIES} attempts before"


class SweepRecord:
    """The MLflow side of one sweep.

    short_names: an axis's key -> its tag. The parent run of an earlier start is found by its tags
    and goes on.
    """

    def __init__(
        self,
        tracker: Tracker,
        cfg: DictConfig,
        sweep: Sweep,
        study: str,
        short_names: Mapping[str, str],
        choices: Mapping[str, str],
    ) -> None:
        self.tracker = tracker
        self.recorder = BufferedRecorder(tracker)
        self.cfg = cfg
        self.sweep = sweep
        self.study = study
        self.short_names = short_names
        self.is_resumed = False
        self.parent = self._parent(choices)

    def _parent(self, choices: Mapping[str, str]) -> str:
        own = {"sweep": self.sweep.name, "kind": "study"}
        earlier = find_runs(self.cfg.tracking, own)
        if earlier:
            self.is_resumed = True
            self.tracker.resume(earlier[0].run_id)
            self.tracker.set_tags(earlier[0].run_id, {**self._changeable(), "state": State.RUNNING})
            self._log_config(earlier[0].run_id)
            return earlier[0].run_id
        tags = {
            **source_tags(),
            **user_tags(self.cfg),
            **own,
            "study": self.study,
            "dataset": choices.get("data", self.cfg.data.source),
            "axes": ",".join(self.short_names.values()),
            "objective": objective_text(self.cfg),
            **self._changeable(),
        }
        if self.cfg.study.question:
            tags["mlflow.note.content"] = self.cfg.study.question
        run_id = self.tracker.start(self.sweep.name, tags, run_params(self.cfg))
        self._log_config(run_id)
        diff = git_diff()
        if diff:
            self.tracker.log_text(run_id, diff, "git.diff")
        return run_id

    def _log_config(self, run_id: str) -> None:
        """The whole configuration, with the claim: that of the latest start."""
        self.tracker.log_text(run_id, OmegaConf.to_yaml(self.cfg), CONFIG)

    def _changeable(self) -> dict[str, str]:
        """What may differ from one start of a sweep to the next: MLflow refuses changed params, not tags."""
        budget = {key: value for key, value in self.cfg.budget.items() if value is not None}
        return {
            "sampler": self.cfg.sampler.name,
            "pruner": self.cfg.pruner.name,
            "trials": str(self.sweep.total),
            "budget": " ".join(f"{key}={value:g}" for key, value in budget.items()) or "none",
            "command": command_text("src.train"),
            "versions": versions_text(),
        }

    def start_trial(
        self,
        number: int,
        params: Params,
        cfg: DictConfig,
        choices: Mapping[str, str],
        overrides: Sequence[str],
    ) -> TrialRef:
        """Open the child run of a trial."""
        tags = {**self._tags(number, params, cfg, choices), "kind": "trial"}
        run_id = self.tracker.start(f"trial-{number}", tags, {}, parent=self.parent)
        self.recorder.log_params(run_id, run_params(cfg))
        return TrialRef(
            run_id=run_id,
            number=number,
            incumbents=self._incumbents(),
            overrides=tuple(overrides),
        )

    def start_repeat(
        self, trial: TrialRef, repeat: int, params: Params, cfg: DictConfig, choices: Mapping[str, str]
    ) -> TrialRef:
        """Open the run of one seed of a trial, below the trial's own. repeat: from 0."""
        assert trial.number is not None
        tags = {**self._tags(trial.number, params, cfg, choices), "kind": "repeat", "repeat": str(repeat)}
        name = f"trial-{trial.number}-seed-{cfg.training.seed}"
        run_id = self.tracker.start(name, tags, {}, parent=trial.run_id)
        self.recorder.log_params(run_id, run_params(cfg))
        return TrialRef(run_id, trial.number, trial.incumbents, trial.overrides, repeat)

    def adopt_repeat(self, trial: TrialRef, outcome: Outcome) -> None:
        """Show the finished seed of an attempt that was lost below the trial that took its place."""
        self.tracker.set_tags(
            outcome.run_id, {"mlflow.parentRunId": trial.run_id, "trial": str(trial.number)}
        )

    def _tags(
        self, number: int, params: Params, cfg: DictConfig, choices: Mapping[str, str]
    ) -> dict[str, str]:
        return {
            **trial_tags(cfg, choices, params, self.short_names),
            "study": self.study,
            "sweep": self.sweep.name,
            "trial": str(number),
            "objective": objective_text(cfg),
        }

    def _incumbents(self) -> tuple[tuple[float, ...], ...]:
        """The objective values that a new trial has to beat; with one objective, the best."""
        complete = self.sweep.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [tuple(trial.values) for trial in complete]
        if len(self.sweep.directions) > 1 or not values:
            return tuple(values)
        return (max(values) if self.sweep.directions[0] == "maximize" else min(values),)

    def close_trial(self, outcome: Outcome) -> None:
        """Close a trial's run; a traceback is kept with it. The mean of several seeds is logged there."""
        try:
            self.recorder.flush(outcome.run_id)
        finally:  # whatever MLflow refuses of its metrics, the run is closed
            self._close(outcome)

    def _close(self, outcome: Outcome) -> None:
        if outcome.traceback:
            self.tracker.log_text(outcome.run_id, outcome.traceback, "traceback.txt")
        if outcome.seeds and outcome.values:
            means = {**outcome.metrics, "objective": outcome.values[0], "seeds": float(len(outcome.seeds))}
            self.tracker.log_metrics(outcome.run_id, means)
        self.tracker.finish(outcome.run_id, outcome.state, outcome.reason)

    def cancel(self, run_id: str, reason: str) -> None:
        """Close a run whose training was stopped."""
        try:
            self.recorder.flush(run_id)
        finally:
            self.tracker.finish(run_id, State.CANCELLED, reason)

    def keeps_model(self, run_id: str) -> bool:
        """Whether a run has a model to predict with; not one that was deleted."""
        with suppress(RefusedError):
            return has_model(self.cfg.tracking, get_run(self.cfg.tracking, run_id).run_id)
        return False

    def reconcile(self) -> None:
        """Bring every open run of the sweep in line with its trial, after whatever ended the driver.

        Runs are found by their tags, never by a remembered id.
        """
        trials = {trial.number: trial for trial in self.sweep.study.get_trials(deepcopy=False)}
        for run in find_runs(self.cfg.tracking, {"sweep": self.sweep.name}, status="RUNNING"):
            trial = trials.get(int(run.tags.get("trial", -1)))
            if trial is None or not trial.state.is_finished():
                continue
            result = self._result(trial, run.run_id)
            if result is not None:
                self.close_trial(as_outcome(result))
            elif trial.state is TrialState.FAIL and counts(trial):
                self.close_trial(Outcome(State.FAILED, run.run_id, reason=DIED_AGAIN))
            else:
                self.cancel(run.run_id, "its process ended before the trial did")

    def _result(self, trial: FrozenTrial, run_id: str) -> Mapping[str, Any] | None:
        """What the journal says came of this run: a trial's own, or one of its seeds'."""
        found = [value for value in trial.user_attrs.values() if isinstance(value, dict)]
        return next((result for result in found if result.get("run_id") == run_id), None)

    def close(self, state: str, ending: Ending) -> None:
        """Close the parent run, unless another driver still trains for this sweep: then that one does.

        Of a whole sweep it says how many trials there are: a space may have fewer than were asked for.
        """
        if state == State.COMPLETE and self.sweep.study.get_trials(
            deepcopy=False, states=(TrialState.RUNNING,)
        ):
            return
        if ending.is_whole:
            self.tracker.set_tags(self.parent, {"trials": str(len(finished_trials(self.sweep.study)))})
        self.tracker.finish(self.parent, state, ending.reason)
