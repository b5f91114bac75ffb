"""Starts kerasweep's workers, or trains trials in batches with another launcher of Hydra's."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.config.search import TrialConf
from kerasweep.errors import RefusedError
from kerasweep.multirun.jobs import WorkerSetup, call_target, outcome_of
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.owner import has_ended_here, this_owner
from kerasweep.tracking.buffer import BufferedRecorder
from kerasweep.tracking.spool import Spool
from kerasweep.tracking.writer import Tracker
from kerasweep.training.onednn import set_onednn
from kerasweep.workers import machine
from kerasweep.workers.descendants import end_children
from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, WorkerPool
from kerasweep.workers.worker import Finished, Job

WORKERS = "hydra_plugins.kerasweep.launcher.WorkersLauncher"
RAY = "hydra_plugins.kerasweep.launcher.RayLauncher"
IN_PROCESS = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
PREPARE = "kerasweep.multirun.jobs:prepare"
WATCH_SECONDS = 1.0


def uses_workers(master: DictConfig) -> bool:
    """Returns whether kerasweep's workers on this machine train the sweep."""
    return str(master.hydra.launcher._target_) == WORKERS


def uses_ray(master: DictConfig) -> bool:
    """Returns whether kerasweep's workers on a Ray cluster train the sweep."""
    return str(master.hydra.launcher._target_) == RAY


def count_workers(cfg: DictConfig, trainings: int) -> int:
    """Returns the number of workers for this number of trainings, a training per trial and seed."""
    gpus, usable = machine.count_gpus(), machine.usable_cores()
    return machine.worker_count(cfg.workers, trainings, gpus, usable, machine.free_memory_mb())


def start_workers(context: HydraContext, master: DictConfig, cfg: DictConfig, trainings: int) -> WorkerPool:
    """Starts the worker processes of a sweep.

    Args:
        context: Hydra's context.
        master: The composed sweep with Hydra's node.
        cfg: The same without it, for the warm-up.
        trainings: How many remain, a training per trial and seed.
    """
    if cfg.trial.target == TrialConf.target:
        set_onednn()
    count = count_workers(cfg, trainings)
    variables = machine.worker_variables(count, machine.count_gpus(), machine.usable_cores())
    pool = WorkerPool(variables, PREPARE, worker_setup(context, cfg), limits_of(cfg))
    pool.start(count)
    return pool


def worker_setup(context: HydraContext, cfg: DictConfig) -> bytes:
    """Returns what `PREPARE` gets in each worker."""
    return WorkerSetup(context, Singleton.get_state(), cfg, cfg.trial.target).pack()


def limits_of(cfg: DictConfig) -> Limits:
    """Returns the limits of each job."""
    return Limits(cfg.trial.timeout_seconds, cfg.trial.memory_mb, cfg.trial.recycle_mb)


@dataclass(frozen=True)
class BatchJob:
    """One repeat of a trial for another launcher."""

    index: int  # the job's number
    overrides: list[str]
    ref: TrialRef
    report: Callable[[int, float | None], bool]  # asks the pruner after each epoch


class BatchTask:
    """Hydra's task function for a batch, in any process: Hydra's job number tells which job it runs."""

    def __init__(self, tracker: Tracker, spool: Spool, target: str, jobs: list[BatchJob]) -> None:
        self.tracker = tracker
        self.spool = spool
        self.target = target
        self.jobs = jobs
        self.driver = this_owner()

    def __call__(self, cfg: DictConfig) -> Outcome:
        end_with(self.driver)
        hydra_cfg = HydraConfig.get()
        job = self.jobs[int(hydra_cfg.job.num) - self.jobs[0].index]
        folder = Path(hydra_cfg.runtime.output_dir)
        recorder = BufferedRecorder(self.tracker, self.spool)
        try:
            outcome = call_target(self.target, cfg, job.ref, recorder, job.report, folder)
        except BaseException:  # whatever ended the training, its metrics are kept
            with suppress(RefusedError):
                recorder.flush_or_keep(job.ref.run_id)
            raise
        recorder.flush_or_keep(job.ref.run_id)
        return outcome


@cache
def _watch(driver: tuple[tuple[str, Any], ...]) -> None:
    """Ends this process once its driver has ended: an orphan would write to runs that a rerun has closed."""
    owner = dict(driver)

    def watch() -> None:
        while not has_ended_here(owner):
            time.sleep(WATCH_SECONDS)
        end_children()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def end_with(driver: Mapping[str, Any]) -> None:
    """Lets a process of another launcher on this machine end with the driver."""
    if driver["pid"] != os.getpid():
        _watch(tuple(sorted(driver.items())))


class BatchPool:
    """Trains jobs with any launcher of Hydra's, `size` at a time; each batch ends with its slowest job."""

    def __init__(
        self,
        context: HydraContext,
        master: DictConfig,
        tracker: Tracker,
        spool: Spool,
        target: str,
        size: int,
    ) -> None:
        self.context = context
        self.master = master
        self.tracker = tracker
        self.spool = spool
        self.target = target
        self._jobs: list[Job | None] = [None] * size
        self._events: deque[tuple[int, Event]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def free(self) -> list[int]:
        """Returns the free places of the next batch, none before all events of the last batch are read."""
        return [] if self._events else [place for place, job in enumerate(self._jobs) if job is None]

    def submit(self, worker: int, job: Job) -> None:
        self._jobs[worker] = job

    def answer(self, worker: int, stops: bool) -> None:
        """Does nothing: jobs of a batch ask their pruner without the driver."""

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        """Returns the next result, and launches the batch first if it must."""
        if not self._events and not any(self._jobs):
            time.sleep(timeout)  # the driver waits for MLflow, or for another driver
            return None
        if not self._events:
            self._launch()
        worker, event = self._events.popleft()
        self._jobs[worker] = None
        return worker, event

    def _launch(self) -> None:
        placed = [(place, job) for place, job in enumerate(self._jobs) if job is not None]
        batch: list[BatchJob] = [job.payload for _, job in placed]
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context,
            task_function=BatchTask(self.tracker, self.spool, self.target, batch),
            config=self.master,
        )
        here = os.getcwd()
        try:
            done = launcher.launch([job.overrides for job in batch], initial_job_idx=batch[0].index)
        finally:
            os.chdir(here)  # a user's network may have changed it
        for (place, job), result in zip(placed, done, strict=True):
            self._events.append((place, Finished(job.id, outcome_of(result, job.payload.ref))))


def batch_size(master: DictConfig, cfg: DictConfig, trainings: int) -> int:
    """Returns how many jobs another launcher gets at once, 1 if it runs them in this process."""
    launcher: Any = master.hydra.launcher
    if str(launcher._target_) == IN_PROCESS:
        return 1
    n_jobs = launcher.get("n_jobs")
    if isinstance(n_jobs, int) and n_jobs > 0 and cfg.workers == "auto":
        return min(n_jobs, trainings)
    return count_workers(cfg, trainings)
