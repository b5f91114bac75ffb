"""Measures storages beside each other: drivers that ask for trials and save results, one after another."""

import multiprocessing
import shutil
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import GrpcStorageProxy, get_storage, run_grpc_proxy_server
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from benchmarks import postgres
from benchmarks.page import publish
from benchmarks.results import Results
from benchmarks.scale.asks import settle_one, sweep_of
from kerasweep.errors import KerasweepError
from kerasweep.file_lock import locked
from kerasweep.search.ask import ask
from kerasweep.search.database import OPENED, Database
from kerasweep.search.journal import JournalFolder
from kerasweep.search.ledger import counts
from kerasweep.search.owner import leased
from kerasweep.search.stops import Ending
from kerasweep.search.storage import Storage, create_or_load
from kerasweep.search.suggest import Proposal

DRIVERS = (1, 4, 16, 64)
TRIALS = 640  # of all drivers of a sweep together
PAUSE_SECONDS = 0.05
START_SECONDS = 600
Opening = Callable[[], Storage]


@dataclass(frozen=True)
class Proxied(Storage):
    """A database behind Optuna's server; its drivers share a machine, and the lock is a file there."""

    port: int
    folder: Path

    def names(self) -> list[str]:
        return [study.study_name for study in self._proxy().get_all_studies()]

    def open(self, name: str, directions: Any) -> Study:
        return create_or_load(self._proxy(), name, directions)

    def lock(self, name: str) -> AbstractContextManager[None]:
        return locked(self.folder / f"{name}.lock")

    def winner_lock(self, name: str) -> AbstractContextManager[None]:
        return self.lock(f"{name}.winner")

    def _proxy(self) -> GrpcStorageProxy:
        proxy = GrpcStorageProxy(host="127.0.0.1", port=self.port)
        proxy.wait_server_ready(timeout=60)
        return proxy


@contextmanager
def journal(folder: Path) -> Iterator[Storage]:
    yield JournalFolder(folder)


@contextmanager
def sqlite(folder: Path) -> Iterator[Storage]:
    yield Database(f"sqlite:///{folder}/optuna.db", folder)


@contextmanager
def postgresql(folder: Path) -> Iterator[Storage]:
    """Starts a server of its own, which waits for the disk as any other does."""
    binaries = postgres.binaries()
    if binaries is None:
        raise SystemExit("PostgreSQL is not installed, as by: apt-get install postgresql")
    place = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = postgres.Server(binaries, place)
        server.start(waits_for_disk=True)
        try:
            yield Database(server.url(), folder)
        finally:
            server.kill()
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def proxied(folder: Path) -> Iterator[Storage]:
    """Starts Optuna's server before a PostgreSQL."""
    with postgresql(folder) as database, socket.socket() as free:
        assert isinstance(database, Database)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=_serve, args=(database.url, port), daemon=True)
        server.start()
        try:
            yield Proxied(port, folder)
        finally:
            server.terminate()
            server.join()


def _serve(url: str, port: int) -> None:
    run_grpc_proxy_server(get_storage(url), host="127.0.0.1", port=port)


STORAGES: Mapping[str, Callable[[Path], AbstractContextManager[Storage]]] = {
    "journal": journal,
    "SQLite": sqlite,
    "PostgreSQL": postgresql,
    "PostgreSQL behind gRPC": proxied,
}


def measure(name: str, drivers: int, trials: int) -> dict[str, Any]:
    """Runs drivers of one sweep in processes, and returns their figures."""
    context = multiprocessing.get_context("fork")  # 64 imports would take minutes
    with tempfile.TemporaryDirectory() as folder, STORAGES[name](Path(folder)) as storage:
        # The tables; in a process of its own, since no connection outlives a fork.
        _in_process(context, lambda: storage.open("s", ("maximize",)))
        barrier, queue = context.Barrier(drivers), context.SimpleQueue()
        processes = [
            context.Process(target=_drive, args=(storage, Path(folder), trials, barrier, queue))
            for _ in range(drivers)
        ]
        for process in processes:
            process.start()
        answers = [queue.get() for _ in processes]
        for process in processes:
            process.join()
        counted = context.SimpleQueue()
        _in_process(context, lambda: counted.put(_count(storage)))
        complete, others = counted.get()
    asks = sorted(seconds for answer in answers for seconds in answer["asks"])
    span = max(answer["ended"] for answer in answers) - min(answer["began"] for answer in answers)
    errors = sum((Counter(answer["errors"]) for answer in answers), Counter())
    return {
        "trials_a_second": complete / span,
        "ask_median": statistics.median(asks),
        "ask_95": asks[int(0.95 * (len(asks) - 1))],
        "errors": dict(errors),
        "complete": complete,
        "others": others,
        "cpu_seconds": sum(answer["cpu"] for answer in answers) / trials,
    }


def _in_process(context: Any, call: Callable[[], Any]) -> None:
    process = context.Process(target=call)
    process.start()
    process.join()
    assert process.exitcode == 0


def _count(storage: Storage) -> tuple[int, int]:
    """Returns how many trials are complete, and how many other ones there are."""
    trials = storage.open("s", ("maximize",)).get_trials(deepcopy=False)
    complete = sum(trial.state is TrialState.COMPLETE and counts(trial) for trial in trials)
    return complete, len(trials) - complete


def _drive(storage: Storage, folder: Path, trials: int, barrier: Barrier, queue: Any) -> None:
    """Asks for trials and saves their results until the sweep has its total."""
    OPENED.clear()
    asks: list[float] = []
    errors: Counter[str] = Counter()
    sweep = sweep_of(storage, folder, trials, "random")
    with leased(sweep.study):
        barrier.wait(START_SECONDS)
        began = ended = time.time()
        used, waiting = time.process_time(), None
        while True:
            asked = time.perf_counter()
            try:
                answer = ask(sweep, (), 0.0, waiting=waiting)
                if isinstance(answer, Proposal):
                    asks.append(time.perf_counter() - asked)
                    settle_one(sweep, answer)
                    ended, waiting = time.time(), None
                    continue
            except (KerasweepError, OptunaError, SQLAlchemyError, OSError) as error:
                errors[type(error).__name__] += 1
                continue
            if isinstance(answer, Ending):
                break
            waiting = answer  # other drivers have the last trials
            time.sleep(PAUSE_SECONDS)
    cpu = time.process_time() - used
    queue.put({"asks": asks, "errors": dict(errors), "began": began, "ended": ended, "cpu": cpu})


def run(
    drivers: tuple[int, ...] = DRIVERS, trials: int = TRIALS, fresh: bool = False, is_small: bool = False
) -> None:
    """Measures each storage with each number of drivers, and publishes the table; see `trials.run`."""
    results = Results("scale-storages", f"{trials} trials")
    if fresh:
        results.clear()
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for count in drivers:
        for name in STORAGES:
            key = f"{name}, {count} drivers"
            measured = None if is_small else results.get(key)
            if measured is None:
                measured = measure(name, count, trials)
                print(f"  {key}: {measured}", flush=True)
                if not is_small:
                    results.add(key, measured)
            found[name, count] = measured
    text = section(found, trials)
    if not is_small:
        publish("scale --part storages", f"{text}\n\n{results.machine()}.\n")
    print(text)


def section(found: Mapping[tuple[str, int], Mapping[str, Any]], trials: int) -> str:
    """Returns the page's section in Markdown."""
    lines = [
        "## Storages and drivers",
        "",
        "Drivers are processes on this machine that ask for a trial and save its result, one after another, "
        f"with nothing to train: {trials} trials of all drivers together. An ask waits for the sweep's lock. "
        "All storages wait for the disk; behind gRPC means Optuna's proxy server before PostgreSQL. "
        "Errors are exceptions, and trials beyond or below the total.",
        "",
        "| storage | drivers | trials a second | ask, median | ask, 95 % | CPU-ms a trial | errors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, count), each in found.items():
        errors = sum(each["errors"].values()) + abs(each["complete"] - trials)
        lines.append(
            f"| {name} | {count} | {each['trials_a_second']:.1f} | {1000 * each['ask_median']:.0f} ms "
            f"| {1000 * each['ask_95']:.0f} ms | {1000 * each['cpu_seconds']:.0f} | {errors} |"
        )
    return "\n".join(lines)
