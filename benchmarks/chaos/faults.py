"""The faults of a campaign: kills, stops, outages, a full disk, a moved folder."""

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil

from benchmarks.chaos.services import MlflowServer, RayNodes
from benchmarks.chaos.setups import Setup
from benchmarks.chaos.site import Site
from benchmarks.postgres import Server

LONGEST_OUTAGE_SECONDS, LONGEST_STOP_SECONDS, LONGEST_FILL_SECONDS = 15.0, 6.0, 6.0


@dataclass
class Scene:
    """What faults act on."""

    site: Site
    postgres: Server | None
    mlflow: MlflowServer | None
    ray: RayNodes | None


@dataclass(frozen=True)
class Fault:
    """A fault.

    inject: Called with the scene and a size from 0 to 1; returns once what was taken away is back.
    """

    weight: float
    applies: Callable[[Setup, bool], bool]  # to a setup, and whether there is a disk of its own
    inject: Callable[[Scene, float], None]


def _always(setup: Setup, has_disk: bool) -> bool:
    return True


def _signal_driver(number: signal.Signals, times: int = 1) -> Callable[[Scene, float], None]:
    def inject(scene: Scene, size: float) -> None:
        driver = _choose(scene.site.drivers, size)
        for _ in range(times if driver else 0):
            assert driver is not None
            driver.send_signal(number)
            time.sleep(0.5)

    return inject


def _choose(candidates: list, size: float):  # type: ignore[no-untyped-def, type-arg]
    return candidates[int(size * len(candidates)) % len(candidates)] if candidates else None


def _workers(scene: Scene) -> list[psutil.Process]:
    """Returns processes below the drivers, or the actors of the cluster with theirs."""
    roots = [driver.pid for driver in scene.site.drivers] if scene.ray is None else [scene.ray.pid]
    found: list[psutil.Process] = []
    for root in roots:
        with suppress(psutil.Error):
            found += psutil.Process(root).children(recursive=True)
    if scene.ray is None:
        return found
    return [process for process in found if _is_actor(process)]


def _is_actor(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "ray::RayWorker" in " ".join(process.cmdline())
    return False


def _kill_worker(scene: Scene, size: float) -> None:
    worker = _choose(_workers(scene), size)
    if worker is not None:
        with suppress(psutil.NoSuchProcess):
            worker.kill()


def _pause_worker(scene: Scene, size: float) -> None:
    _pause(_choose(_workers(scene), size), size)


def _pause_driver(scene: Scene, size: float) -> None:
    driver = _choose(scene.site.drivers, size)
    _pause(psutil.Process(driver.pid) if driver else None, size)


def _pause(process: psutil.Process | None, size: float) -> None:
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        time.sleep(size * LONGEST_STOP_SECONDS)
        process.resume()


def _restart_postgres(scene: Scene, size: float) -> None:
    assert scene.postgres is not None
    scene.postgres.kill()
    time.sleep(size * LONGEST_OUTAGE_SECONDS)
    scene.postgres.start()


def _restart_mlflow(scene: Scene, size: float) -> None:
    assert scene.mlflow is not None
    scene.mlflow.kill()
    time.sleep(size * LONGEST_OUTAGE_SECONDS)
    scene.mlflow.start()


def _lock_database(scene: Scene, size: float) -> None:
    file = scene.site.project / "mlruns" / "mlflow.db"
    if not file.exists():
        return
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(size * LONGEST_OUTAGE_SECONDS)
        connection.execute("ROLLBACK")


def _kill_node(scene: Scene, size: float) -> None:
    assert scene.ray is not None
    scene.ray.order("kill")
    time.sleep(size * LONGEST_OUTAGE_SECONDS)
    scene.ray.order("add")


def _fill_disk(scene: Scene, size: float) -> None:
    scene.site.fill_disk()
    time.sleep(size * LONGEST_FILL_SECONDS)
    scene.site.free_disk()


def _move_folder(scene: Scene, size: float) -> None:
    scene.site.end_drivers(signal.SIGKILL if size < 0.5 else signal.SIGTERM)
    _wait_for_end(scene.site)
    scene.site.move()


def _wait_for_end(site: Site, seconds: float = 30.0) -> None:
    """Waits until nothing of killed drivers runs any more."""
    deadline = time.monotonic() + seconds
    while site.processes() and time.monotonic() < deadline:
        time.sleep(0.2)


def _crowd(scene: Scene, size: float) -> None:
    """A signal to all processes of a driver, as a terminal or a batch system sends it."""
    driver = _choose(scene.site.drivers, size)
    for process in scene.site.processes() if driver else []:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)


FAULTS = {
    "driver killed": Fault(4, _always, _signal_driver(signal.SIGKILL)),
    "driver terminated": Fault(1, _always, _signal_driver(signal.SIGTERM)),
    "all processes terminated": Fault(1, _always, _crowd),
    "driver interrupted": Fault(1, _always, _signal_driver(signal.SIGINT)),
    "driver interrupted twice": Fault(1, _always, _signal_driver(signal.SIGINT, 2)),
    "terminal closed": Fault(1, _always, _signal_driver(signal.SIGHUP)),
    "driver paused": Fault(1, _always, _pause_driver),
    "worker killed": Fault(2, _always, _kill_worker),
    "worker paused": Fault(1, _always, _pause_worker),
    "PostgreSQL restarted": Fault(3, lambda setup, _: setup.storage == "postgresql", _restart_postgres),
    "MLflow server restarted": Fault(3, lambda setup, _: setup.tracking == "server", _restart_mlflow),
    "database locked": Fault(1, lambda setup, _: setup.tracking == "database", _lock_database),
    "node killed": Fault(2, lambda setup, _: setup.pool == "ray", _kill_node),
    "disk full": Fault(2, lambda _, has_disk: has_disk, _fill_disk),
    "folder moved": Fault(1, _always, _move_folder),
}


def weights(setup: Setup, has_disk: bool) -> dict[str, float]:
    """Returns the faults that a setup allows, with their weights."""
    return {name: fault.weight for name, fault in FAULTS.items() if fault.applies(setup, has_disk)}
