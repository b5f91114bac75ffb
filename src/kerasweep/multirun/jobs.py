"""A trial inside a worker: Hydra's job around it, the driver's ear behind it."""

import errno
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

from kerasweep.config.target import import_target
from kerasweep.errors import TrainingError
from kerasweep.imports import collect_rarely
from kerasweep.multirun.outcome_check import checked
from kerasweep.results import Outcome, State, TrialRef
from kerasweep.tracking.recorder import Recorder, RelayedRecorder
from kerasweep.tracking.writer import open_tracker
from kerasweep.workers.worker import Channel

MAX_REASON_CHARACTERS = 4000
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Called with the epoch, from 1, and the first objective, None where an epoch does not measure it.
Report = Callable[[int, float | None], bool]
Target = Callable[[DictConfig, TrialRef, Recorder, Report, Path], Outcome]


@dataclass(frozen=True)
class TrialJob:
    """What a worker needs to train one seed of a trial.

    config: the whole configuration, with Hydra's node. target: `module:name` of the function that
    trains. waits: whether each report waits for the pruner's answer.
    """

    config: DictConfig
    ref: TrialRef
    target: str
    waits: bool


@dataclass(frozen=True)
class Shared:
    """What every job of a sweep has in common: the driver's Hydra, and a configuration to warm up with."""

    context: HydraContext
    singletons: Any
    config: DictConfig
    target: str

    def pack(self) -> bytes:
        packed: bytes = cloudpickle.dumps(self)
        return packed


_context: HydraContext | None = None


def prepare(packed: bytes) -> None:
    """Make this process a worker of the sweep: Hydra as in the driver, the target's module warm.

    A module may have a function `warm_up(cfg)`: it is called once, before the first trial.
    """
    global _context
    collect_rarely()
    shared: Shared = cloudpickle.loads(packed)
    _context = shared.context
    Singleton.set_state(shared.singletons)
    setup_globals()
    warm_up = _warm_up(shared.target)
    if warm_up is not None:
        warm_up(shared.config)


def _warm_up(target: str) -> Callable[[DictConfig], None] | None:
    """The function `warm_up` beside the target, None where there is none."""
    module = sys.modules[import_target(target).__module__]
    found: Callable[[DictConfig], None] | None = getattr(module, "warm_up", None)
    return found


def train(job: TrialJob, channel: Channel) -> Outcome:
    """Train as Hydra would run the job. Whatever the target raises is its outcome."""

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
    except BaseException as error:  # of the job's folder, or what Hydra lets pass
        return failed(error, job.ref)
    finally:
        os.chdir(here)  # a user's network may have changed it
    return outcome_of(done, job.ref)


def call_target(
    target: str, cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path
) -> Outcome:
    """Call the function that trains a trial. Raises TrainingError where it ends otherwise than it should."""
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
    return checked(outcome, ref, target, len(cfg.objective))


def outcome_of(done: JobReturn, ref: TrialRef) -> Outcome:
    """The job's outcome. (`return_value` of a failed job prints and raises: `_return_value` doesn't.)"""
    if done.status is JobStatus.COMPLETED:
        outcome = done._return_value
        assert isinstance(outcome, Outcome)
        return outcome
    return failed(done._return_value, ref)


def failed(error: BaseException, ref: TrialRef) -> Outcome:
    """What an exception makes of a trial. A full disk is not its fault: then it is lost, and comes again."""
    is_lost = isinstance(error, OSError) and error.errno in DISK_ERRORS
    state = State.LOST if is_lost else State.FAILED
    told = "".join(traceback.format_exception(error))
    return Outcome(state, ref.run_id, reason=_reason(error), traceback=told)


def _reason(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # __str__ of a user's own class may raise anything
        text = "its text cannot be read"
    return f"{type(error).__name__}: {text}"[:MAX_REASON_CHARACTERS]
