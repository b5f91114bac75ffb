"""Opens and closes the runs of a sweep's trials and of their repeats, below the sweep's run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from omegaconf import DictConfig

from kerasweep.data.sources import source_key
from kerasweep.errors import RefusedError
from kerasweep.results import Outcome, State, TrialRef
from kerasweep.search.stops import Ending
from kerasweep.search.sweep import Sweep
from kerasweep.search.tally import best_at_last_ask
from kerasweep.space.rows import Params
from kerasweep.sweep.parent_run import close_parent, open_parent
from kerasweep.terminal import value_text
from kerasweep.tracking.buffer import BufferedRecorder
from kerasweep.tracking.keras_model import has_model
from kerasweep.tracking.reader import find_runs, get_run
from kerasweep.tracking.source import read_code
from kerasweep.tracking.spool import Spool
from kerasweep.tracking.tags import (
    RunKind,
    objective_text,
    run_params,
    tag_text,
    trial_tags,
)
from kerasweep.tracking.writer import Tracker


@dataclass(frozen=True)
class Opening:
    """How the run of a trial or of a repeat comes about."""

    # Whether it may exist: an earlier call asked for it, and perhaps only the server's answer was lost.
    was_asked: bool = False
    run_id: str | None = None  # the run that exists
    begun: int | None = None  # when its training began, in milliseconds since 1970; None for now


NEW = Opening()


@dataclass(frozen=True)
class SweepRecord:
    """The MLflow runs of one sweep: the parent run, and the runs of trials and their repeats."""

    tracker: Tracker
    recorder: BufferedRecorder
    cfg: DictConfig
    sweep: Sweep
    study: str  # the study's name
    short_names: Mapping[str, str]  # an axis's key -> its tag
    parent: str  # the id of the sweep's run
    is_resumed: bool  # whether an earlier start opened that run
    source: Mapping[str, str]  # see TrialRef.source

    @classmethod
    def open(
        cls,
        tracker: Tracker,
        cfg: DictConfig,
        sweep: Sweep,
        study: str,
        short_names: Mapping[str, str],
        choices: Mapping[str, str],
        axes: Sequence[str],
        more: Mapping[str, str],
    ) -> Self:
        """Reopens the parent run of an earlier start, found by its tags, or starts one.

        Args:
            tracker: Writes to MLflow.
            cfg: The configuration that the trials share.
            sweep: The sweep; call this with its lock held.
            study: The study's name.
            short_names: An axis's key -> its tag.
            choices: A config group -> the chosen option.
            axes: The tags of the axes that are compared.
            more: Further tags of a new parent run.
        """
        code = read_code()
        parent, is_resumed = open_parent(tracker, cfg, sweep, study, choices, axes, more, code)
        recorder = BufferedRecorder(tracker, Spool(sweep.spool))
        return cls(tracker, recorder, cfg, sweep, study, short_names, parent, is_resumed, code.tags)

    def start_trial(
        self,
        number: int,
        params: Params,
        cfg: DictConfig,
        choices: Mapping[str, str],
        overrides: Sequence[str],
        opening: Opening = NEW,
    ) -> TrialRef:
        """Opens a trial's run, below the parent run.

        Args:
            number: The trial's number.
            params: Its configuration.
            cfg: The same, composed.
            choices: A config group -> the chosen option.
            overrides: The differences to other trials, as on the command line.
            opening: How the run comes about.
        """
        kind = RunKind.TRIAL if self.sweep.arms is None else RunKind.TUNING
        shown = self.sweep.shown_params(params)
        tags = {**self._tags(number, shown, cfg, choices), "kind": kind}
        run_id = self._start(self._run_name(number, shown), tags, self.parent, opening)
        differing = tuple(key for key, value in shown.items() if value != params.get(key))
        logged = {
            key: value
            for key, value in run_params(cfg).items()
            if key not in differing and not key.startswith(tuple(f"{axis}." for axis in differing))
        }
        self.recorder.log_params(run_id, logged)
        return TrialRef(
            run_id=run_id,
            number=number,
            incumbents=self._incumbents(),
            overrides=tuple(overrides),
            is_cross_fitted=self.sweep.is_cross_fitted,
            draws_odd=self.sweep.draws_odd,
            code=self.sweep.code,
            source=self.source,
            data_digest=self.sweep.digest_of(source_key(cfg.data)),
            is_tuning=self.sweep.arms is not None,
        )

    def start_repeat(
        self,
        trial: TrialRef,
        repeat: int,
        params: Params,
        cfg: DictConfig,
        choices: Mapping[str, str],
        opening: Opening = NEW,
    ) -> TrialRef:
        """Opens the run of one repeat, below its trial's run. opening: how it comes about."""
        assert trial.number is not None
        tags = {
            **self._tags(trial.number, params, cfg, choices),
            "kind": RunKind.REPEAT,
            "repeat": str(repeat),
        }
        name = f"{self._run_name(trial.number, params)} repeat={repeat}"
        run_id = self._start(name, tags, trial.run_id, opening)
        self.recorder.log_params(run_id, run_params(cfg))
        return replace(trial, run_id=run_id, repeat=repeat)

    def _run_name(self, number: int, params: Params) -> str:
        """Returns the values of a trial's axes, as in `kernel_size=5 batch_size=16`; a tag has its number."""
        values = {
            self.short_names[key]: value_text(value) if isinstance(value, float) else tag_text(value)
            for key, value in params.items()
        }
        return " ".join(f"{name}={text}" for name, text in values.items()) or f"trial-{number}"

    def note_best(self, trials: int, value: float) -> None:
        """Records the best value of the first objective after this number of trials has ended."""
        metric = f"best_{self.cfg.objective[0].metric}"
        with suppress(RefusedError):  # the user deleted the sweep's run
            self.recorder.log_epoch(self.parent, trials, {metric: value})

    def _start(self, name: str, tags: Mapping[str, str], parent: str, opening: Opening) -> str:
        """Opens a run and returns its id."""
        if opening.run_id is not None:
            return opening.run_id
        if opening.was_asked:
            identity = {key: tags[key] for key in ("sweep", "trial", "kind", "repeat") if key in tags}
            for run in find_runs(self.cfg.tracking, identity, status="RUNNING"):
                return run.run_id
        return self.tracker.start(name, tags, {}, parent=parent, begun=opening.begun)

    def adopt_repeat(self, trial: TrialRef, run_id: str) -> None:
        """Moves the run of a repeat that an earlier attempt finished below this trial's run."""
        self.recorder.set_tags(run_id, {"mlflow.parentRunId": trial.run_id, "trial": str(trial.number)})

    def _tags(
        self, number: int, params: Params, cfg: DictConfig, choices: Mapping[str, str]
    ) -> dict[str, str]:
        return {
            **trial_tags(cfg, choices, {**self._configured(cfg, choices), **params}, self.short_names),
            "study": self.study,
            "sweep": self.sweep.name,
            "trial": str(number),
            "objective": objective_text(cfg),
        }

    def _configured(self, cfg: DictConfig, choices: Mapping[str, str]) -> Params:
        """Returns the values of keys that a point of study.grids may leave out, as far as they exist."""
        known = {**run_params(cfg), **choices}
        names = {key: key.lstrip("+") for key in self.sweep.space.optional}
        return {key: known[name] for key, name in names.items() if name in known}

    def _incumbents(self) -> tuple[tuple[float, ...], ...]:
        """Returns the objective values of the trials that a new one must beat to keep its weights.

        Empty where a seed or a split is an axis: the winner has the best mean, and any trial may belong to
        it.
        """
        if self.sweep.has_repeated_axis:
            return ()
        return best_at_last_ask(self.sweep.study, self.sweep.space)

    def close_trial(self, outcome: Outcome, ended: int | None = None) -> None:
        """Closes the run of a trial or of a repeat, with the means of its repeats.

        Args:
            outcome: Its result.
            ended: When it ended, in milliseconds since 1970; None for now.

        Raises:
            RefusedError: MLflow refuses some entries; the run is closed.
            TrackingError: MLflow cannot be used; the run stays open, and its entries wait.
        """
        means: dict[str, float] = {}
        if outcome.seeds and outcome.values:
            means = {**outcome.metrics, **outcome.objectives, "seeds": float(len(outcome.seeds))}
        self._close(outcome.run_id, outcome.state, outcome.reason, means, ended)

    def cancel(self, run_id: str, reason: str) -> None:
        """Closes a run whose training was stopped. Raises as `close_trial`."""
        self._close(run_id, State.CANCELLED, reason)

    def _close(
        self,
        run_id: str,
        state: str,
        reason: str | None,
        metrics: Mapping[str, float] = MappingProxyType({}),
        ended: int | None = None,
    ) -> None:
        """Closes a run once all of its entries are written."""
        refusal = None
        try:
            self.recorder.flush(run_id)
        except RefusedError as error:
            refusal = error
        if metrics:
            self.tracker.log_metrics(run_id, metrics)
        self.tracker.finish(run_id, state, reason, ended)
        if refusal is not None:
            raise refusal

    def keeps_model(self, run_id: str) -> bool:
        """Returns whether a run exists and has a model to predict with."""
        with suppress(RefusedError):
            return has_model(self.cfg.tracking, get_run(self.cfg.tracking, run_id).run_id)
        return False

    def close(self, state: str, ending: Ending) -> None:
        """Closes the sweep's run; see `close_parent`."""
        close_parent(self.tracker, self.sweep, self.parent, state, ending)
