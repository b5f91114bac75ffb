"""Opens, fills and closes the MLflow runs of a sweep's trials, and makes the jobs that train them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from kerasweep.data.sources import source_key
from kerasweep.errors import UnreachableError
from kerasweep.multirun.batches import BatchJob
from kerasweep.multirun.composer import Composer
from kerasweep.multirun.jobs import TrialJob
from kerasweep.multirun.tuning import MAX_SEED, SEED
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import attempts
from kerasweep.search.pruners import PrunerInput, pruner_input, warmup_epochs
from kerasweep.search.remote_report import RemoteReport, never
from kerasweep.search.suggest import Proposal
from kerasweep.space.rows import Params
from kerasweep.sweep.best_repeats import Winner
from kerasweep.sweep.recording import Opening, SweepRecord
from kerasweep.sweep.replaced_runs import find_repeat, record_again
from kerasweep.tracking.entries import Entry
from kerasweep.tracking.keras_model import has_model
from kerasweep.tracking.reader import get_run, list_artifacts
from kerasweep.tracking.recorder import write_relayed
from kerasweep.tracking.tags import tag_text
from kerasweep.training.checkpoints import state_path

TRAIN = "kerasweep.multirun.jobs:train"
RECORD_MODEL = "kerasweep.trial.record_best:record_best_model"
RECORD_FIGURES = "kerasweep.trial.record_best:record_best_figures"
RECORD_FIGURES_AND_TEST = "kerasweep.trial.record_best:record_best_figures_and_test"
RECORD_TEST = "kerasweep.trial.record_best:record_best_test"
LAST_FIGURE = "figures/learning_curves.png"


class WorkerTrialRuns:
    """The runs of trials that kerasweep's workers train.

    Args:
        composer: Composes the configuration of each trial.
        record: The sweep's runs in MLflow.
        repeats: How many seeds each trial is trained with.
        target: The function that trains, as `module:name`.
    """

    def __init__(self, composer: Composer, record: SweepRecord, repeats: int, target: str) -> None:
        self.composer = composer
        self._record = record
        self.repeats = repeats
        self.target = target
        self._configs: dict[int, DictConfig] = {}  # of the first repeats, by trial
        self._asked: set[tuple[int, int | None]] = set()  # trials and repeats whose run was to be opened

    def open_trial(self, proposal: Proposal) -> TrialRef:
        number = proposal.trial.number
        return self.open_trial_run(number, proposal.params, Opening(self._is_asked(number)))

    def open_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int) -> TrialRef:
        opening = Opening(self._is_asked(proposal.trial.number, repeat))
        return self.open_repeat_run(proposal.params, ref, repeat, opening)

    def open_trial_run(self, number: int, params: Params, opening: Opening) -> TrialRef:
        """Opens the run of a trial. params: its configuration."""
        return self._record.start_trial(
            number,
            params,
            self._config(number, params),
            self.composer.choices(params),
            self.composer.space.overrides(params),
            opening,
        )

    def open_repeat_run(self, trial_params: Params, ref: TrialRef, repeat: int, opening: Opening) -> TrialRef:
        """Opens the run of one repeat. ref: the trial's run; trial_params: its configuration."""
        params = self._record.sweep.params_of(trial_params, repeat)
        ref = replace(ref, overrides=tuple(self.composer.space.overrides(params)))
        assert ref.number is not None
        cfg = self._compose(self.composer.compose, trial_params, repeat, ref.number)
        self._set_repeat(cfg, repeat)
        return self._record.start_repeat(ref, repeat, params, cfg, self.composer.choices(params), opening)

    def _is_asked(self, trial: int, repeat: int | None = None) -> bool:
        """Notes that a run is to be opened, and returns whether it was to be before."""
        is_asked = (trial, repeat) in self._asked
        self._asked.add((trial, repeat))
        return is_asked

    def job(self, proposal: Proposal, ref: TrialRef, waits: bool) -> tuple[str, Any]:
        """Returns the function and the payload that train a repeat in a worker."""
        number = proposal.trial.number
        config = self._job_config(proposal.params, number, ref.repeat)
        ref = replace(ref, resume_from=self._checkpoints(proposal, ref.repeat), defers_model=True)
        return TRAIN, TrialJob(config, ref, self.target, waits)

    def winner_jobs(self, winner: Winner, is_end: bool) -> dict[str, tuple[str, Any]]:
        """Returns the parts that a winner's run still lacks, each with a function and its payload.

        Args:
            winner: Its run may have some parts already, recorded by a long training or an earlier start.
            is_end: Whether the sweep is finished: only then is the winner tested.

        Raises:
            RefusedError: Its run was deleted.
        """
        assert winner.outcome.weights is not None
        tracking, run_id = self.composer.master.tracking, winner.outcome.run_id
        run = get_run(tracking, run_id)
        parts: dict[str, str] = {}
        if tracking.models != "none" and not has_model(tracking, run_id):
            parts["model"] = RECORD_MODEL
        if tracking.models != "none" and LAST_FIGURE not in list_artifacts(tracking, run_id, "figures"):
            parts["figures"] = RECORD_FIGURES
        if is_end and "test_accuracy" not in run.metrics:
            both = parts.pop("figures", None) is not None
            parts |= {"figures": RECORD_FIGURES_AND_TEST} if both else {"test score": RECORD_TEST}
        config = self._job_config(winner.params, winner.number, winner.repeat)
        ref = TrialRef(
            run_id,
            winner.number,
            repeat=winner.repeat,
            weights=Path(winner.outcome.weights),
            code=self._record.sweep.code,
            data_digest=self._record.sweep.digest_of(source_key(config.data)),
        )
        return {
            part: (TRAIN, TrialJob(config, ref, function, waits=False)) for part, function in parts.items()
        }

    def warmup_epochs(self, proposal: Proposal) -> int:
        return warmup_epochs(self._config(proposal.trial.number, proposal.params))

    def _config(self, trial: int, params: Params) -> DictConfig:
        """Returns the configuration of a trial's first repeat, which nobody may change."""
        if trial not in self._configs:
            self._configs[trial] = self._compose(self.composer.compose, params, 0, trial)
        return self._configs[trial]

    def _compose(
        self, compose: Callable[[Params, int], DictConfig], params: Params, repeat: int, number: int
    ) -> DictConfig:
        """Returns the configuration of a trial's repeat, without its seed; that of a tuning has its seed.

        Composing again takes less time than a copy.
        """
        config = compose(self._record.sweep.params_of(params, repeat), number)
        if self._record.sweep.arms is not None:
            self._set_repeat(config, (int(str(params[SEED])) - int(config.training.seed)) % MAX_SEED)
        return config

    def _job_config(self, params: Params, number: int, repeat: int) -> DictConfig:
        """Returns the configuration of a trial's repeat for the job with this number."""
        config = self._compose(self.composer.numbered_job, params, repeat, number)
        if self.repeats > 1:
            self._set_repeat(config, repeat)
            # Sweeps of older versions have their checkpoints in a folder of this name.
            config.hydra.sweep.subdir = f"{config.hydra.sweep.subdir}/seed-{repeat}"
        if self._record.sweep.arms is not None:
            config.hydra.sweep.subdir = f"tuning/{config.hydra.sweep.subdir}"
        return config

    def _set_repeat(self, cfg: DictConfig, repeat: int) -> None:
        """Gives a repeat its seed and, unless all share one split, its split."""
        cfg.training.seed = (cfg.training.seed + repeat) % MAX_SEED
        if self._record.sweep.resamples:
            data = cfg.data
            data.split_seed = repeat + (data.seed if data.split_seed is None else data.split_seed)

    def _checkpoints(self, proposal: Proposal, repeat: int) -> Path | None:
        """Returns the job folder of the newest earlier attempt with a checkpoint."""
        trial, params = proposal.trial.number, proposal.params
        if not self._config(trial, params).training.checkpoint.enabled:
            return None
        for attempt in attempts(self._record.sweep.study, trial)[1:]:
            config = self._job_config(params, attempt.number, repeat)
            folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
            if state_path(folder).exists():
                return folder
        return None

    def record(self, run_id: str, entry: Entry) -> None:
        write_relayed(self._record.recorder, run_id, entry)

    def write_due(self) -> dict[str, str]:
        return self._record.recorder.flush_due()

    def write(self, run_id: str) -> bool:
        return self._record.recorder.flush_or_keep(run_id)

    def write_all(self) -> None:
        self._record.recorder.flush_all()

    def outage(self) -> str | None:
        return self._record.tracker.outage()

    def adopt_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int, outcome: Outcome) -> bool:
        numbers = [attempt.number for attempt in attempts(self._record.sweep.study, proposal.trial.number)]
        run_id: str | None = outcome.run_id
        with suppress(UnreachableError):
            run_id = find_repeat(self._record, numbers, repeat, outcome.run_id)
        if run_id is not None:
            self._record.adopt_repeat(ref, run_id)
            return self.write(run_id)  # now: no later write is about this run
        opened = self.open_repeat(proposal, ref, repeat)
        record_again(self._record, opened.run_id, outcome, None)
        return False

    def close(self, outcome: Outcome) -> None:
        self._record.close_trial(outcome)

    def note_best(self, trials: int, value: float) -> None:
        self._record.note_best(trials, value)

    def forget(self, proposal: Proposal) -> None:
        number = proposal.trial.number
        self._asked = {asked for asked in self._asked if asked[0] != number}
        self._configs.pop(number, None)

    def cancel(self, run_id: str, reason: str) -> None:
        self._record.cancel(run_id, reason)


class BatchTrialRuns(WorkerTrialRuns):
    """The runs of trials that another launcher of Hydra's composes and trains in batches."""

    def __init__(
        self, composer: Composer, record: SweepRecord, repeats: int, target: str, pruner: DictConfig
    ) -> None:
        super().__init__(composer, record, repeats, target)
        self.pruner = pruner

    def open_trial(self, proposal: Proposal) -> TrialRef:
        """Opens the run, and writes it at once: the job writes to MLflow without the driver."""
        ref = super().open_trial(proposal)
        self.write(ref.run_id)
        return ref

    def open_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int) -> TrialRef:
        ref = super().open_repeat(proposal, ref, repeat)
        self.write(ref.run_id)
        return ref

    def job(self, proposal: Proposal, ref: TrialRef, waits: bool) -> tuple[str, Any]:
        number = proposal.trial.number
        overrides = self.composer.overrides(self._record.sweep.params_of(proposal.params, ref.repeat))
        # The launcher numbers the jobs of a batch one by one: with repeats its numbers occur twice.
        folder = str(self._job_config(proposal.params, number, ref.repeat).hydra.sweep.subdir)
        overrides.append(f"hydra.sweep.subdir={QuotedString(folder, Quote.single).with_quotes()}")
        if self.repeats > 1 or self._record.sweep.arms is not None:
            cfg = self._compose(self.composer.compose, proposal.params, ref.repeat, number)
            if self.repeats > 1:
                self._set_repeat(cfg, ref.repeat)
            seeds = {"training.seed": cfg.training.seed, "data.split_seed": cfg.data.split_seed}
            overrides += [f"{key}={tag_text(seed)}" for key, seed in seeds.items()]
        has_pruner = pruner_input(self.pruner.name) in (PrunerInput.BEST, PrunerInput.EPOCHS)
        report = self._report(proposal) if has_pruner and ref.repeat == 0 else never
        return TRAIN, BatchJob(number * self.repeats + ref.repeat, overrides, ref, report)

    def _report(self, proposal: Proposal) -> RemoteReport:
        sweep = self._record.sweep
        return RemoteReport(
            sweep.storage,
            sweep.name,
            sweep.directions,
            self.pruner,
            int(self._config(proposal.trial.number, proposal.params).training.epochs),
            proposal.trial._trial_id,
            self.warmup_epochs(proposal),
            sweep.arms,
        )
