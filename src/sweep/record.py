"""Keeps MLflow in step with a sweep: the parent run, a child run a trial, and their ends."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from src.outcome import Outcome, TrialRef
from src.sweep.driver import Sweep
from src.sweep.ledger import RESULT
from src.sweep.space.axis import Params
from src.tracking.description import objective_text, run_params, run_tags, user_tags
from src.tracking.names import tag_text
from src.tracking.query import find_runs
from src.tracking.runs import Tracker, git_diff, source_tags


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
            return earlier[0].run_id
        tags = {
            **source_tags(),
            **user_tags(self.cfg),
            **own,
            "study": self.study,
            "dataset": choices.get("data", self.cfg.data.source),
            "axes": ",".join(self.short_names.values()),
            "objective": objective_text(self.cfg),
            "sampler": self.cfg.sampler.name,
        }
        if self.cfg.study.question:
            tags["mlflow.note.content"] = self.cfg.study.question
        run_id = self.tracker.start(self.sweep.name, tags, run_params(self.cfg))
        self.tracker.log_text(run_id, OmegaConf.to_yaml(self.cfg), "config.yaml")
        diff = git_diff()
        if diff:
            self.tracker.log_text(run_id, diff, "git.diff")
        return run_id

    def start_trial(
        self,
        number: int,
        params: Params,
        cfg: DictConfig,
        choices: Mapping[str, str],
        overrides: Sequence[str],
    ) -> TrialRef:
        """Open the child run of a trial."""
        axes = {self.short_names[key]: tag_text(value) for key, value in params.items()}
        tags = {
            **user_tags(cfg),
            **run_tags(cfg, choices),
            **axes,
            "study": self.study,
            "sweep": self.sweep.name,
            "kind": "trial",
            "trial": str(number),
            "objective": objective_text(cfg),
        }
        name = f"trial-{number}"
        run_id = self.tracker.start(name, tags, run_params(cfg), parent=self.parent)
        return TrialRef(
            run_id=run_id,
            number=number,
            incumbents=self._incumbents(),
            overrides=tuple(overrides),
        )

    def _incumbents(self) -> tuple[tuple[float, ...], ...]:
        complete = self.sweep.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return tuple(tuple(trial.values) for trial in complete)

    def close_trial(self, outcome: Outcome) -> None:
        """Close a trial's run once Optuna knows its result."""
        if outcome.traceback is not None:
            self.tracker.log_text(outcome.run_id, outcome.traceback, "traceback.txt")
        self.tracker.finish(outcome.run_id, outcome.state, outcome.reason)

    def reconcile(self) -> None:
        """Close the runs that a dead driver left open, each as its trial ended."""
        trials = {trial.number: trial for trial in self.sweep.study.get_trials(deepcopy=False)}
        for run in find_runs(self.cfg.tracking, {"sweep": self.sweep.name, "kind": "trial"}):
            trial = trials.get(int(run.tags["trial"]))
            if run.status != "RUNNING" or trial is None or not trial.state.is_finished():
                continue
            result = trial.user_attrs.get(RESULT)
            if result is None:
                self.tracker.finish(run.run_id, "cancelled", "its process ended before the trial did")
            else:
                self.tracker.finish(run.run_id, result["state"], result["reason"])

    def close(self, state: str, reason: str) -> None:
        """Close the parent run, unless another driver still trains for this sweep: then that one does."""
        if state == "complete" and self.sweep.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            return
        self.tracker.finish(self.parent, state, reason)
