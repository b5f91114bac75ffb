"""Has trials trained where a sweep says: by workers of our own, or by any launcher of Hydra's in batches."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.config.search import TrialConf
from kerasweep.multirun.jobs import Shared, call_target, outcome_of
from kerasweep.results import Outcome, TrialRef
from kerasweep.tracking.writer import Tracker
from kerasweep.training.onednn import set_onednn
from kerasweep.workers import machine as cores
from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, WorkerPool
from kerasweep.workers.worker import Finished, Job

WORKERS = "hydra_plugins.kerasweep.launcher.WorkersLauncher"
IN_PROCESS = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
PREPARE = "kerasweep.multirun.jobs:prepare"


def uses_workers(master: DictConfig) -> bool:
    """Whether the sweep's launcher is our own."""
    return str(master.hydra.launcher._target_) == WORKERS


def count_workers(cfg: DictConfig, trials: int) -> int:
    """How many workers a sweep of so many trials gets."""
    gpus, usable = cores.count_gpus(), cores.usable_cores()
    return cores.worker_count(cfg.workers, trials, gpus, usable, cores.free_memory_mb())


def start_workers(context: HydraContext, master: DictConfig, cfg: DictConfig, trials: int) -> WorkerPool:
    """Start the worker processes that a sweep of so many more trials asks for.

    master: with Hydra's node. cfg: without it, to warm up with.
    """
    if cfg.trial.target == TrialConf.target:
        set_onednn()
    count = count_workers(cfg, trials)
    variables = cores.worker_variables(count, cores.count_gpus(), cores.usable_cores())
    shared = Shared(context, Singleton.get_state(), cfg, cfg.trial.target)
    limits = Limits(cfg.trial.timeout_seconds, cfg.trial.memory_mb, cfg.trial.recycle_mb)
    return WorkerPool(count, variables, PREPARE, shared.pack(), limits)


@dataclass(frozen=True)
class BatchJob:
    """One seed of a trial for a foreign launcher. index: its job number. report: how it asks its pruner."""

    index: int
    overrides: list[str]
    ref: TrialRef
    report: Callable[[int, float | None], bool]


class BatchTask:
    """The task function of a batch: finds its run by Hydra's job number, wherever it is called."""

    def __init__(self, tracker: Tracker, target: str, jobs: list[BatchJob]) -> None:
        self.tracker = tracker
        self.target = target
        self.jobs = jobs

    def __call__(self, cfg: DictConfig) -> Outcome:
        hydra_cfg = HydraConfig.get()
        job = self.jobs[int(hydra_cfg.job.num) - self.jobs[0].index]
        folder = Path(hydra_cfg.runtime.output_dir)
        return call_target(self.target, cfg, job.ref, self.tracker, job.report, folder)


class BatchPool:
    """Any launcher of Hydra's: takes `size` jobs, launches them together, and waits for the slowest."""

    def __init__(
        self, context: HydraContext, master: DictConfig, tracker: Tracker, target: str, size: int
    ) -> None:
        self.context = context
        self.master = master
        self.tracker = tracker
        self.target = target
        self._jobs: list[Job | None] = [None] * size
        self._events: deque[tuple[int, Event]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def free(self) -> list[int]:
        """The places of the next batch; none before the last one has been heard."""
        return [] if self._events else [place for place, job in enumerate(self._jobs) if job is None]

    def submit(self, worker: int, job: Job) -> None:
        self._jobs[worker] = job

    def answer(self, worker: int, stops: bool) -> None:
        """Nothing: trials of a batch ask their pruner themselves."""

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        """The next result; launches the batch where none is there."""
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
            task_function=BatchTask(self.tracker, self.target, batch),
            config=self.master,
        )
        here = os.getcwd()
        try:
            done = launcher.launch([job.overrides for job in batch], initial_job_idx=batch[0].index)
        finally:
            os.chdir(here)  # a user's network may have changed it
        for (place, job), each in zip(placed, done, strict=True):
            self._events.append((place, Finished(job.id, outcome_of(each, job.payload.ref))))


def batch_size(master: DictConfig, cfg: DictConfig, trials: int) -> int:
    """How many jobs a foreign launcher gets at once: one where it runs them in this process."""
    launcher: Any = master.hydra.launcher
    if str(launcher._target_) == IN_PROCESS:
        return 1
    wanted = launcher.get("n_jobs")
    if isinstance(wanted, int) and wanted > 0 and cfg.workers == "auto":
        return min(wanted, trials)
    return count_workers(cfg, trials)
