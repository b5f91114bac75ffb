"""Trains a trial inside a worker, as a job of Hydra's, and reports to the driver."""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.config.interpolations import resolve_values
from kerasweep.config.search import TrialConf
from kerasweep.config.target import import_target
from kerasweep.errors import DISK_ERRORS, SHARED_ERRORS, DivergedError, TrainingError, disk_advice
from kerasweep.fast_start import collect_rarely
from kerasweep.multirun.outcome_check import check_outcome
from kerasweep.results import Outcome, ReportEpoch, State, TrialRef
from kerasweep.tracking.recorder import Recorder, RelayedRecorder
from kerasweep.tracking.writer import open_tracker
from kerasweep.trial.digest import check_code, note_code
from kerasweep.workers.worker import Channel

OURS = "kerasweep."  # begins the targets whose paths are relative to where the command was started
MAX_REASON_CHARACTERS = 4000
CANNOT_WRITE = "A trial cannot write: {error}. To go on from here, {advice}, and start the same command."
Target = Callable[[DictConfig, TrialRef, Recorder, ReportEpoch, Path], Outcome]


@dataclass(frozen=True)
class TrialJob:
    """The payload of a job that trains one repeat of a trial."""

    config: DictConfig  # the whole configuration, with Hydra's node
    ref: TrialRef
    target: str  # `module:name` of the function that trains
    waits: bool  # whether each report waits for the pruner's answer


@dataclass(frozen=True)
class WorkerSetup:
    """The data with which `prepare` sets up a worker."""

    context: HydraContext
    singletons: Any  # the state of Hydra's singletons in the driver
    config: DictConfig  # for the warm-up
    target: str

    def pack(self) -> bytes:
        """Returns this object as bytes for `prepare`."""
        packed: bytes = cloudpickle.dumps(self)
        return packed


_context: HydraContext | None = None


def prepare(packed: bytes) -> None:
    """Prepares this process for the sweep's jobs: sets up Hydra as in the driver, and warms the target up.

    If the target's module has a function `warm_up(cfg)`, that is called once, before the first trial.
    """
    global _context
    collect_rarely()
    setup: WorkerSetup = cloudpickle.loads(packed)
    _context = setup.context
    Singleton.set_state(setup.singletons)
    setup_globals()
    note_code(setup.config)
    warm_up = _warm_up(setup.target)
    if warm_up is not None:
        warm_up(setup.config)


def _warm_up(target: str) -> Callable[[DictConfig], None] | None:
    """Returns the function `warm_up` of the target's module, None if it has none."""
    module = sys.modules[import_target(target).__module__]
    function: Callable[[DictConfig], None] | None = getattr(module, "warm_up", None)
    return function


def train(job: TrialJob, channel: Channel) -> Outcome:
    """Trains as a job of Hydra's. An exception of the target becomes the outcome."""

    def task(cfg: DictConfig) -> Outcome:
        folder = Path(HydraConfig.get().runtime.output_dir)
        recorder = RelayedRecorder(channel.record, folder / ".outbox", lambda: open_tracker(cfg.tracking))
        return call_target(job.target, cfg, job.ref, recorder, report, folder)

    def report(epoch: int, value: float | None) -> bool:
        return channel.report(epoch, value, job.waits)

    assert _context is not None
    here = os.getcwd()
    try:
        done = run_job(
            task_function=task,
            config=job.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=_context,
        )
    except BaseException as error:  # the job's folder failed, or Hydra does not catch it
        return failed_outcome(error, job.ref)
    finally:
        os.chdir(here)  # a user's network may have changed it
    return outcome_of(done, job.ref)


def call_target(
    target: str, cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: ReportEpoch, folder: Path
) -> Outcome:
    """Calls the function that trains a trial, checks what it reports and returns, and records its objective.

    Args:
        target: `module:name` of the function.
        cfg: The trial's configuration.
        ref: The run to fill.
        recorder: Records into that run.
        report: Receives the epochs as plain numbers.
        folder: The job's folder.

    Raises:
        TrainingError: The function exits, or returns no valid Outcome.
        ChangedError: Its code was edited since the sweep began.
    """
    if target.startswith(OURS):
        os.chdir(HydraConfig.get().runtime.cwd)  # hydra.job.chdir is for a user's function
    resolve_values(cfg)  # another launcher's job comes as Hydra composed it
    check_code(cfg, ref)
    function: Target = import_target(target)

    def checked_report(epoch: int, value: float | None) -> bool:
        if int(epoch) < 1:
            raise ValueError(f"report needs an epoch from 1 on, but got {epoch}")
        return report(int(epoch), None if value is None else float(value))

    try:
        outcome = function(cfg, ref, recorder, checked_report, folder)
    except SystemExit as stop:
        raise TrainingError(f"The trial called sys.exit({stop.code!r}).") from stop
    if not isinstance(outcome, Outcome):
        raise TrainingError(
            f"trial.target={target} must return a kerasweep.Outcome, but returned {type(outcome).__name__}."
        )
    checked = check_outcome(outcome, ref, target, len(cfg.objective))
    if target != TrialConf.target and checked.state == State.COMPLETE:
        # The built-in function records it with its other metrics, which spares the driver a message.
        recorder.log_metrics(ref.run_id, checked.objectives)
    return checked


def outcome_of(done: JobReturn, ref: TrialRef) -> Outcome:
    """Returns the job's outcome."""
    if done.status is JobStatus.COMPLETED:
        outcome = done._return_value  # `return_value` of a failed job prints and raises
        assert isinstance(outcome, Outcome)
        return outcome
    return failed_outcome(done._return_value, ref)


def failed_outcome(error: BaseException, ref: TrialRef) -> Outcome:
    """Returns the outcome of a trial that raised: lost if the disk is full or all trials would raise it."""
    reason, state = _reason(error), State.LOST if isinstance(error, SHARED_ERRORS) else State.FAILED
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        reason, state = CANNOT_WRITE.format(error=error, advice=disk_advice(error)), State.LOST
    lines = traceback.format_exception(error)
    poor = isinstance(error, DivergedError)
    return Outcome(state, ref.run_id, reason=reason, traceback="".join(lines), is_poor=poor)


def _reason(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # __str__ of a user's class may raise anything
        text = "its text cannot be read"
    if isinstance(error, SHARED_ERRORS):  # a sentence for the user
        return text
    name = type(error).__name__
    return f"{name}: {text}"[:MAX_REASON_CHARACTERS] if text else name
