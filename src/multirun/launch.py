"""Has one trial trained by whichever Hydra launcher is configured."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from src.errors import TrackingError, TrainingError
from src.outcome import Outcome, TrialRef
from src.tracking.runs import Tracker
from src.trial.run import Report, run_trial


class TrialTask:
    """The task function of a sweep's jobs: trains the trial that was set last."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.ref: TrialRef | None = None
        self.report: Report = lambda epoch, value: False

    def __call__(self, cfg: DictConfig) -> Outcome:
        assert self.ref is not None
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            return run_trial(cfg, self.ref, self.tracker, self.report, folder)
        except SystemExit as stop:
            raise TrainingError(f"The trial called sys.exit({stop.code!r}).") from stop


class JobLauncher:
    """Hydra's launcher, one job at a time."""

    def __init__(self, context: HydraContext, master: DictConfig, tracker: Tracker) -> None:
        self.task = TrialTask(tracker)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=self.task, config=master
        )

    def train(self, ref: TrialRef, report: Callable[[int, float], bool], overrides: list[str]) -> Outcome:
        """Train a trial as job number `ref.number`. An exception of its own is its outcome."""
        self.task.ref, self.task.report = ref, report
        assert ref.number is not None
        here = os.getcwd()
        try:
            job = self.launcher.launch([overrides], initial_job_idx=ref.number)[0]
        finally:
            os.chdir(here)  # a user's network may have changed it
        return _outcome(job, ref)


def _outcome(job: JobReturn, ref: TrialRef) -> Outcome:
    """The job's outcome. (`return_value` of a failed job prints and raises: `_return_value` doesn't.)

    A TrackingError is not the trial's fault: it is raised, and the trial comes again.
    """
    if job.status is JobStatus.COMPLETED:
        outcome = job._return_value
        assert isinstance(outcome, Outcome)
        return outcome
    error = job._return_value
    if isinstance(error, TrackingError):
        raise error
    reason = f"{type(error).__name__}: {error}"
    return Outcome("failed", ref.run_id, reason=reason, traceback="".join(traceback.format_exception(error)))
