"""Runs one campaign: a sweep, its faults, the same command until it is finished, and the checks."""

import os
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from optuna.trial import TrialState

from benchmarks.chaos.checker import Left, breaches, leftovers, read
from benchmarks.chaos.faults import FAULTS, Scene, weights
from benchmarks.chaos.services import MlflowServer, RayNodes
from benchmarks.chaos.setups import Plan, Setup, Step, make_plan, overrides
from benchmarks.chaos.site import Site
from benchmarks.postgres import Server, binaries

POLL_SECONDS, RESTART_SECONDS, LEAVE_SECONDS = 0.2, 1.0, 30.0
TRAINING_SECONDS, MAX_SECONDS = 60.0, 1200.0
TRACEBACK = b"Traceback (most recent call last)"


@dataclass
class Result:
    """What a campaign found.

    Attributes:
        faults: How often each fault was injected.
        starts: Of drivers.
        retried: Trainings that began, beyond one of each configuration and repeat.
        failed: Trials that failed: their worker was killed, or their driver or Ray actor three times.
        repeats: The trainings of each trial.
        broken: A sentence for each broken promise.
    """

    setup: str
    seed: int
    trials: int
    drivers: int
    faults: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    seconds: float = 0.0
    retried: int = 0
    failed: int = 0
    repeats: int = 1
    broken: list[str] = field(default_factory=list)


def run(
    setup: Setup,
    seed: int,
    untrained: Path,
    trials: int = 0,
    steps: int = 0,
    folder: Path | None = None,
) -> Result:
    """Runs a campaign.

    Args:
        setup: What it runs on.
        seed: Draws the campaign.
        untrained: The file that `trial.save_untrained` wrote.
        trials: See `make_plan`.
        steps: See `make_plan`.
        folder: An empty folder, which is kept; no disk is filled then. None for a temporary folder, which is
            kept if a promise is broken.
    """
    root = folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    site = Site(root, untrained, has_disk=folder is None)
    plan = make_plan(setup, seed, weights(setup, site.has_disk), trials, steps)
    result = Result(setup.name, seed, plan.trials, plan.drivers, repeats=plan.repeats)
    scene = Scene(site, None, None, None)
    began = time.monotonic()
    try:
        _start_services(scene, setup)
        campaign = _Campaign(plan, scene, result)
        campaign.run()
        result.broken += campaign.check()
    finally:
        result.seconds = time.monotonic() - began
        if result.broken and site.has_disk:
            shutil.copytree(site.disk, site.records / "disk", symlinks=True)
        site.close()
        _stop_services(scene)
    if folder is None and not result.broken:
        shutil.rmtree(root)
    return result


def _start_services(scene: Scene, setup: Setup) -> None:
    site = scene.site
    if setup.storage == "postgresql":
        programs = binaries()
        assert programs is not None, "PostgreSQL is not installed, as by: apt-get install postgresql"
        folder = site.records / "postgres"
        folder.mkdir()
        os.chmod(site.root, 0o755)  # PostgreSQL runs as another user if this one is root
        scene.postgres = Server(programs, folder)
        scene.postgres.start()
    if setup.tracking == "server":
        scene.mlflow = MlflowServer(site.records / "mlflow", site.variables)
        scene.mlflow.start()
    if setup.pool == "ray":
        scene.ray = RayNodes(site.root / "ray", site.variables)


def _stop_services(scene: Scene) -> None:
    if scene.ray is not None:
        scene.ray.stop()
    if scene.mlflow is not None:
        scene.mlflow.kill()
    if scene.postgres is not None:
        scene.postgres.kill()


class _Campaign:
    def __init__(self, plan: Plan, scene: Scene, result: Result) -> None:
        self.plan, self.scene, self.result = plan, scene, result
        self.storage_url = scene.postgres.url() if scene.postgres else ""
        self.tracking_url = scene.mlflow.url if scene.mlflow else ""
        address = scene.ray.address if scene.ray else ""
        self.overrides = overrides(plan, self.storage_url, self.tracking_url, address)
        self.is_finished = False
        self.deadline = time.monotonic() + MAX_SECONDS

    def run(self) -> None:
        """Injects the faults, restarting drivers that end, until the sweep says that it is finished."""
        faults: Counter[str] = Counter()
        for step in self.plan.steps:
            self._wait_for_training(step.waits)
            self._drive(step.pause)
            if self.is_finished:
                break
            faults[step.fault] += 1
            self._inject(step)
        while not self.is_finished and time.monotonic() < self.deadline:
            self._drive(RESTART_SECONDS)
        self.result.faults = dict(faults)
        self.result.starts = len(self.scene.site.codes) + len(self.scene.site.drivers)

    def _wait_for_training(self, waits: bool) -> None:
        size = self.scene.site.log.stat().st_size
        deadline = time.monotonic() + TRAINING_SECONDS
        while waits and not self.is_finished and time.monotonic() < deadline:
            self._drive(POLL_SECONDS)
            if self.scene.site.log.stat().st_size > size:
                return

    def _inject(self, step: Step) -> None:
        FAULTS[step.fault].inject(self.scene, step.size)

    def _drive(self, seconds: float) -> None:
        """Keeps as many drivers running as planned; one that ends with 0 has finished the sweep."""
        site, until = self.scene.site, time.monotonic() + seconds
        while True:
            codes = site.ended()
            if 0 in codes or self.is_finished:
                self.is_finished = not site.drivers  # the others find that it is finished
                if self.is_finished:
                    return
            while len(site.drivers) < self.plan.drivers and 0 not in site.codes:
                site.start(self.overrides)
            if time.monotonic() >= until:
                return
            time.sleep(RESTART_SECONDS if codes else POLL_SECONDS)

    def check(self) -> list[str]:
        """Runs the command once more, and returns a sentence for each broken promise."""
        site = self.scene.site
        if not self.is_finished:
            return [f"it did not finish within {MAX_SECONDS:.0f} s"]
        broken = list(self._again())
        left = read(site.project, self.storage_url, self.tracking_url, site.log)
        broken += breaches(left, self.plan.trials, self.plan.repeats)
        self._count(left)
        broken += [f"{site_log.name} has a traceback" for site_log in self._tracebacks()]
        broken += leftovers(site.disk, [site.project.name])
        broken += leftovers(site.home, [".cache", ".config", ".keras"])
        return broken

    def _again(self) -> list[str]:
        """The same command on a finished sweep trains nothing, and leaves no process."""
        site, before = self.scene.site, self.scene.site.log.read_text()
        site.start(self.overrides)
        code = site.drivers[0].wait()
        site.ended()
        broken = [] if code == 0 else [f"the command on the finished sweep ends with {code}"]
        if site.log.read_text() != before:
            broken.append("the command on the finished sweep trains")
        deadline = time.monotonic() + LEAVE_SECONDS
        while self._processes() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return broken + [f"a process is left: {process}" for process in self._processes()]

    def _processes(self) -> list[psutil.Process]:
        """Returns what the drivers started and is alive, on the Ray cluster too."""
        on_nodes = self.scene.ray.workers() if self.scene.ray else []
        return [*self.scene.site.processes(), *on_nodes]

    def _tracebacks(self) -> list[Path]:
        logs = sorted(self.scene.site.records.glob("driver-*.log"))
        return [log for log in logs if TRACEBACK in log.read_bytes()]

    def _count(self, left: Left) -> None:
        begun = sum(event["event"] == "begin" for event in left.trainings)
        self.result.retried = begun - len({(event["rate"], event["repeat"]) for event in left.trainings})
        self.result.failed = sum(trial.state is TrialState.FAIL for trial in left.counted)
