"""Starts kerasweep's workers, or trains trials in batches with another launcher of Hydra's."""

import json
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
from kerasweep.errors import DISK_ERRORS, RefusedError, TrainingError, first_line
from kerasweep.multirun.jobs import WorkerSetup, call_target, failed_outcome, outcome_of
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import as_attribute, as_outcome
from kerasweep.search.owner import has_ended_here, this_owner
from kerasweep.tracking.buffer import BufferedRecorder
from kerasweep.tracking.spool import Spool
from kerasweep.tracking.writer import Tracker
from kerasweep.training.onednn import set_onednn
from kerasweep.workers import machine
from kerasweep.workers.descendants import end_children
from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, JobLost, WorkerPool
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
    """Hydra's task function for a batch, in any process: Hydra's job number tells which job it runs.

    A launcher returns no result at all if one of its jobs dies, so each job also leaves its own in `results`.
    """

    def __init__(
        self, tracker: Tracker, spool: Spool, target: str, jobs: Sequence[BatchJob], results: Path
    ) -> None:
        self.tracker = tracker
        self.spool = spool
        self.target = target
        self.jobs = jobs
        self.results = results
        self.driver = this_owner()

    def __call__(self, cfg: DictConfig) -> Outcome:
        end_with(self.driver)
        hydra_cfg = HydraConfig.get()
        job = self.jobs[int(hydra_cfg.job.num) - self.jobs[0].index]
        folder = Path(hydra_cfg.runtime.output_dir)
        begun_file(self.results, job).touch()
        recorder = BufferedRecorder(self.tracker, self.spool)
        try:
            outcome = call_target(self.target, cfg, job.ref, recorder, job.report, folder)
        except BaseException as error:  # whatever ended the training, its metrics are kept
            with suppress(RefusedError):
                recorder.flush_or_keep(job.ref.run_id)
            if isinstance(error, Exception):
                self._leave(job, failed_outcome(error, job.ref))
            raise
        recorder.flush_or_keep(job.ref.run_id)
        self._leave(job, outcome)
        return outcome

    def _leave(self, job: BatchJob, outcome: Outcome) -> None:
        with suppress(OSError):  # on a full disk the launcher's own result has to do
            begun = begun_file(self.results, job)
            begun.write_text(json.dumps(as_attribute(outcome)))
            begun.rename(result_file(self.results, job))


def begun_file(results: Path, job: BatchJob) -> Path:
    """Returns the file that is there while a job of a batch runs, and after its process has died."""
    return results / f"{job.index}.begun"


def result_file(results: Path, job: BatchJob) -> Path:
    """Returns the file with the outcome of a job that has ended."""
    return results / f"{job.index}.json"


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
    """Trains jobs with any launcher of Hydra's, `size` at a time; each batch ends with its slowest job.

    If a launcher fails because a job died, the jobs without a result are lost. So many batches after it have
    a single job: the trials that come again do not die with the one that kills its process.
    """

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
        self._single_batches = 0  # how many follow
        self._events: deque[tuple[int, Event]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def free(self) -> list[int]:
        """Returns the free places of the next batch, none before all events of the last batch are read."""
        if self._events or (self._single_batches and any(self._jobs)):
            return []
        places = [place for place, job in enumerate(self._jobs) if job is None]
        return places[:1] if self._single_batches else places

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
        self._single_batches = max(0, self._single_batches - 1)
        jobs = Path(self.master.hydra.sweep.dir).absolute()
        jobs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".batch-", dir=jobs) as results:
            try:
                self._events.extend(self._launched(placed, Path(results)))
            except Exception as error:  # whatever another's launcher raises when a job of it dies
                self._events.extend(self._left(placed, Path(results), error))

    def _launched(self, placed: Sequence[tuple[int, Job]], results: Path) -> list[tuple[int, Event]]:
        """Trains a batch and returns an event for each of its jobs."""
        batch: list[BatchJob] = [job.payload for _, job in placed]
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context,
            task_function=BatchTask(self.tracker, self.spool, self.target, batch, results),
            config=self.master,
        )
        here = os.getcwd()
        try:
            done = launcher.launch([job.overrides for job in batch], initial_job_idx=batch[0].index)
        finally:
            os.chdir(here)  # a user's network may have changed it
        return [
            (place, Finished(job.id, outcome_of(result, job.payload.ref)))
            for (place, job), result in zip(placed, done, strict=True)
        ]

    def _left(
        self, placed: Sequence[tuple[int, Job]], results: Path, error: Exception
    ) -> list[tuple[int, Event]]:
        """Returns an event for each job of a batch whose launcher failed.

        Raises:
            TrainingError: No job has begun.
            OSError: The disk is full or cannot be written.
        """
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:  # no job's fault: the sweep ends
            raise error
        reason = f"{type(error).__name__}: {first_line(error)}"
        if not any(results.iterdir()):
            name = str(self.master.hydra.launcher._target_).rpartition(".")[2]
            raise TrainingError(f"{name} cannot start jobs: {reason}. Check hydra.launcher.") from error
        events: list[tuple[int, Event]] = []
        for place, job in placed:
            file = result_file(results, job.payload)
            if file.exists():
                outcome = as_outcome(json.loads(file.read_text()))
                events.append((place, Finished(job.id, outcome)))
            else:
                self._single_batches += 1
                lost = JobLost(place, job.id, f"its batch ended without its result: {reason}")
                events.append((place, lost))
        return events


def batch_size(master: DictConfig, cfg: DictConfig, trainings: int) -> int:
    """Returns how many jobs another launcher gets at once, 1 if it runs them in this process."""
    launcher: Any = master.hydra.launcher
    if str(launcher._target_) == IN_PROCESS:
        return 1
    n_jobs = launcher.get("n_jobs")
    if isinstance(n_jobs, int) and n_jobs > 0 and cfg.workers == "auto":
        return min(n_jobs, trainings)
    return count_workers(cfg, trainings)
