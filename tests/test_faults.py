"""A sweep loses and repeats nothing after kills, interrupts, full disks and locked databases."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from kerasweep.config.search import TrackingConf
from kerasweep.search.database import Database
from kerasweep.search.ledger import RESULT, counts, is_poor
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.training.checkpoints import read_state
from tests import processes
from tests.postgres import Server, close_connections
from tests.processes import SERVER, Command, Done, environment, run, start_new

WORK = '''
"""Trials that import no TensorFlow: what they do is told by the configuration."""
import ctypes, os, signal, sys, time
import numpy as np
from kerasweep.results import Outcome

class Foreign(BaseException):
    """Cannot be unpacked from a message."""
    def __init__(self, one, two):
        super().__init__(one)

class Silent(Exception):
    def __str__(self):
        raise RuntimeError

def held(cfg, ref, recorder, report, folder):
    """Ends once the test has removed the file `hold`."""
    while os.path.exists("hold"):
        time.sleep(0.01)
    return slow(cfg, ref, recorder, report, folder)

def slow(cfg, ref, recorder, report, folder):
    """Three epochs."""
    for epoch in (1, 2, 3):
        time.sleep(cfg.model.dropout)
        recorder.log_epoch(ref.run_id, epoch, {"val_accuracy": 0.1 * epoch})
        report(epoch, 0.1 * epoch)
    return Outcome("complete", ref.run_id, (0.3,), {"val_accuracy": 0.3}, 3, 0.1)

def faulty(cfg, ref, recorder, report, folder):
    fault = cfg.model.kwargs.fault
    recorder.log_epoch(ref.run_id, 1, {"val_accuracy": 0.5})
    if fault == "segfault":
        ctypes.string_at(0)
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.startswith("exit"):
        os._exit(int(fault[-1]))
    if fault == "hang":
        time.sleep(60)
    if fault == "memory":
        kept = []
        while True:
            kept.append(bytes(range(250)) * 200_000)
            time.sleep(0.05)
    if fault == "raise":
        raise ValueError("no such thing")
    if fault == "leave":
        sys.exit(7)
    if fault == "nothing":
        return None
    values, metrics, state, run = (0.5,), {"val_accuracy": 0.5}, "complete", ref.run_id
    if fault == "not a number":
        values = (float("nan"),)
    if fault == "infinite":
        values = (float("inf"),)
    if fault == "array":
        metrics = {"val_accuracy": np.ones(3)}
    if fault == "state":
        state = "splendid"
    if fault == "other run":
        run = "0" * 32
    if fault == "none":
        recorder.log_epoch(ref.run_id, 2, {"val_accuracy": None})
    if fault == "name":
        recorder.log_epoch(ref.run_id, 2, {"val=accuracy": 0.5})
    if fault == "path":
        recorder.log_text(ref.run_id, "text", "../up.txt")
    if fault == "foreign":
        raise Foreign("one", "two")
    if fault == "silent":
        raise Silent
    if fault == "orphan":
        if os.fork() == 0:
            time.sleep(12)
        os._exit(4)
    if fault == "numpy":
        values, metrics = (np.float32(0.5),), {"val_accuracy": np.float32(0.5)}
        recorder.log_epoch(ref.run_id, 1, {"val_accuracy": np.float32(0.5)})
        recorder.set_tags(ref.run_id, {"seconds": 3})
    return Outcome(state, run, values, metrics, 1, 0.1)
'''
SLOW = ("trial.target=work:slow", "workers=2", "model.dropout=0.02")
HELD = ("trial.target=work:held", "workers=2", "model.dropout=0")
# These trials train networks in workers that are forked from the command's template process.
NETWORKS = ("model.filters=[4]", "data.limit=100", "training.epochs=40", "workers=2")
# Limits how long a command waits for a server; without it, it waits a minute.
ONE_RETRY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
# python -c SIGNALLED NUMBER FUNCTION ARGUMENTS…: `train` that gets this signal when it calls this function.
SIGNALLED = """
import os, pkgutil, runpy, sys
from unittest.mock import patch
number, name = int(sys.argv.pop(1)), sys.argv.pop(1)
function = pkgutil.resolve_name(name)
def signalled(*arguments, **options):
    os.kill(os.getpid(), number)
    return function(*arguments, **options)
with patch(name, signalled):
    runpy.run_module("src.train", run_name="__main__", alter_sys=True)
"""

# python -c PAUSED FUNCTION,FUNCTION… ARGUMENTS…: `train` that writes the file `reached` when it first calls
# each of these functions, and goes on once that is removed.
PAUSED = """
import os, pkgutil, runpy, sys, time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch
def paused(function, reached):
    def call(*arguments, **options):
        if not reached:
            reached.append(Path("reached").touch())
            while os.path.exists("reached"):
                time.sleep(0.01)
        return function(*arguments, **options)
    return call
with ExitStack() as stack:
    for name in sys.argv.pop(1).split(","):
        stack.enter_context(patch(name, paused(pkgutil.resolve_name(name), [])))
    runpy.run_module("src.train", run_name="__main__", alter_sys=True)
"""


def prepare(folder: Path, copy_database: Callable[[Path], Path]) -> Path:
    copy_database(folder)
    (folder / "work.py").write_text(WORK)
    return folder


@pytest.fixture
def folder(tmp_path: Path, copy_database: Callable[[Path], Path]) -> Path:
    return prepare(tmp_path, copy_database)


@pytest.fixture(params=["journal", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Returns the address of a new database for studies, None for journals."""
    return None if request.param == "journal" else request.getfixturevalue("postgresql").create()


def stored_at(url: str | None) -> tuple[str, ...]:
    """Returns the arguments that name the database, none for journals."""
    return () if url is None else ("storage=rdb", f"storage.url={url}")


def stored_trials(folder: Path, url: str | None = None) -> list[FrozenTrial]:
    """Returns the trials of the only sweep of a database or a folder that count toward its total."""
    if url is None:
        (journal,) = (folder / "mlruns/studies").glob("*.journal")
        name, storage = journal.stem, JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.load_study(study_name=name, storage=storage)
    else:
        study = Database(url, folder).open(*Database(url, folder).names(), ["maximize"])
    trials = [trial for trial in study.trials if counts(trial)]
    close_connections()
    return trials


def runs(folder: Path, kind: str) -> list[RunRecord]:
    return find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": kind})


def start(folder: Path, *arguments: str, **more: Any) -> Command:
    """Starts a sweep; `more` goes to tests.processes.start."""
    return processes.start(folder, "train", "-m", *arguments, **more)


def start_signalled(folder: Path, number: signal.Signals, function: str, *arguments: str) -> Command:
    """Starts a sweep that gets a signal when it calls this function."""
    program = ["-c", SIGNALLED, str(int(number)), function, "-m", *arguments]
    return Command(folder, program, environment())


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def wait_for_running(folder: Path, trials: int) -> None:
    wait_for(lambda: sum(run.status == "RUNNING" for run in runs(folder, "trial")) == trials)


def is_running(folder: Path) -> bool:
    """Returns whether a process works in this folder: a command, its template, a worker, what it started."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def assert_ended(folder: Path) -> None:
    """Asserts that a command's processes end within a few seconds of it."""
    wait_for(lambda: not is_running(folder), seconds=10)


def wait_for_line(process: Command, text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"{text!r} was not printed: {process.stderr.read() if process.stderr else ''}")


def assert_whole(folder: Path, total: int, url: str | None = None) -> None:
    """Asserts that the sweep has its total, repeated no configuration, and MLflow agrees with the storage."""
    trials = stored_trials(folder, url)
    assert all(trial.state.is_finished() for trial in trials)
    assert len(trials) == total
    assert max(Counter(str(sorted(trial.params.items())) for trial in trials).values()) == 1
    (parent,) = runs(folder, "study")
    assert parent.status == "FINISHED"
    children = runs(folder, "trial")
    assert not [run for run in children if run.status == "RUNNING"]
    finished = Counter(run.tags["trial"] for run in children if run.status == "FINISHED")
    complete = [str(trial.number) for trial in trials if RESULT in trial.user_attrs]
    assert finished == Counter(complete)


# What is true at the kill, the function that is called then, and the workers: one until Optuna knows a
# result, since a trial that is killed three times would fail.
KILLS = {
    "the sweep has no run": ("kerasweep.multirun.open_sweeps._open_record", 1),
    "a trial has no run": ("kerasweep.multirun.trial_runs.WorkerTrialRuns.open_trial", 1),
    "the retry of that trial waits, and the trial has not failed yet": ("optuna.study.Study.tell", 1),
    "a trial has a run but no worker": ("kerasweep.workers.pool.WorkerPool.submit", 1),
    "Optuna does not know a written result": ("kerasweep.search.ledger.tell_result", 1),
    "Optuna knows a trial's result, and its run is open": (
        "kerasweep.multirun.trial_runs.WorkerTrialRuns.close",
        2,
    ),
    "only the sweep's run is open": ("kerasweep.sweep.recording.SweepRecord.close", 2),
}


def test_killed_driver_loses_nothing_at_seven_events(folder: Path, url: str | None) -> None:
    """The same sweep is killed at each of these events, in this order, and then continues."""
    trials = ("trial.target=work:slow", "model.dropout=0.02", "training.batch_size=range(1,5)")
    arguments = (*trials, *stored_at(url))
    for moment, (function, workers) in KILLS.items():
        process = start_signalled(folder, signal.SIGKILL, function, *arguments, f"workers={workers}")
        process.communicate()
        assert process.returncode == -signal.SIGKILL, moment
        assert_ended(folder)
    done = run(folder, "train", "-m", *arguments)
    assert done.code == 0, done
    assert_whole(folder, 4, url)
    assert {trial.state for trial in stored_trials(folder, url)} == {TrialState.COMPLETE}


# When PostgreSQL is killed, and the function that is called then.
OUTAGES = {
    "a trial has its owner, and the lock of the sweep is held": "kerasweep.search.suggest.begin_trial",
    "Optuna does not know a written result": "kerasweep.search.ledger.tell_result",
    "the winner is recorded, and its lock is held": "kerasweep.multirun.drive.record_winners",
}


def test_a_sweep_goes_on_when_postgresql_dies_and_comes_back(folder: Path, postgresql: Server) -> None:
    """At each of these events, until the command waits for it."""
    url = postgresql.create()
    arguments = ("debug=fast", "model.filters=[4]", "workers=1", "training.batch_size=32,64", *stored_at(url))
    process = Command(folder, ["-c", PAUSED, ",".join(OUTAGES.values()), "-m", *arguments], environment())
    for _ in OUTAGES:
        wait_for((folder / "reached").exists)
        postgresql.kill()
        (folder / "reached").unlink()
        wait_for_line(process, "correct storage.url. The sweep waits for it.")
        postgresql.start()
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (0, ""), stderr
    assert_whole(folder, 2, url)
    tested = [run.run_id for run in runs(folder, "trial") if "test_accuracy" in run.metrics]
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    assert [len(client.get_metric_history(run_id, "test_accuracy")) for run_id in tested] == [1]
    assert len(runs(folder, "trial")) == 2


def test_a_second_signal_ends_a_sweep_that_waits_for_postgresql(folder: Path, postgresql: Server) -> None:
    """It would wait for an hour, and then again for each trial under way."""
    url = postgresql.create()
    (folder / "hold").touch()
    arguments = (*HELD, "training.batch_size=1,2", *stored_at(url))
    process = start(folder, *arguments)
    wait_for_running(folder, 2)
    postgresql.kill()
    (folder / "hold").unlink()
    wait_for_line(process, "correct storage.url. The sweep waits for it.")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)  # two of a kind might arrive as one
    try:
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        postgresql.start()
    assert (process.returncode, stderr) == (130, "stopped\n")
    assert run(folder, "train", "-m", *arguments).code == 0
    assert_whole(folder, 2, url)


# The kills of a study with nuisance axes: in its tuning, between its sweeps, and in its comparison.
KILLS_OF_A_TUNED_STUDY = {
    "the tuning has no run": ("kerasweep.multirun.open_sweeps._open_record", 1),
    "an arm is enqueued and has no nuisance value": ("optuna.study.Study.ask", 1),
    "Optuna does not know a result of the tuning": ("kerasweep.search.ledger.tell_result", 1),
    "the tuning has ended, and its run is open": ("kerasweep.sweep.recording.SweepRecord.close", 2),
    "the comparison has no journal": ("kerasweep.multirun.conduct.print_tuned", 2),
    "a repeat of the comparison has ended": (
        "kerasweep.multirun.trial_runs.WorkerTrialRuns.close",
        2,
    ),
}


def test_killed_study_with_nuisance_axes_goes_on_in_each_phase(folder: Path) -> None:
    arguments = (
        *("trial.target=work:slow", "model.dropout=0.01", "training.batch_size=1,2", "study.repeats=2"),
        "study.nuisance={optimizer.learning_rate:'tag(log,interval(0.001,0.1))'}",
        *("sampler=random", "study.nuisance_trials=3"),
    )
    for moment, (function, workers) in KILLS_OF_A_TUNED_STUDY.items():
        process = start_signalled(folder, signal.SIGKILL, function, *arguments, f"workers={workers}")
        process.communicate()
        assert process.returncode == -signal.SIGKILL, moment
        assert_ended(folder)
    done = run(folder, "train", "-m", *arguments)
    assert done.code == 0, done
    tuned, compared = (
        [run for run in runs(folder, kind) if run.status == "FINISHED"] for kind in ("tuning", "repeat")
    )
    assert Counter((run.tags["batch_size"], run.params["training.seed"]) for run in tuned) == {
        (size, seed): 3 for size in "12" for seed in ("1000000", "1000001")
    }
    repeats = Counter((run.tags["batch_size"], run.tags["repeat"]) for run in compared)
    assert repeats == {(size, repeat): 1 for size in "12" for repeat in "01"}
    assert not [
        run
        for kind in ("study", "tuning", "trial", "repeat")
        for run in runs(folder, kind)
        if run.status == "RUNNING"
    ]
    assert {(run.params["training.seed"], run.params["data.split_seed"]) for run in tuned} == {
        ("1000000", "1000000"),
        ("1000001", "1000001"),
    }
    assert {(run.params["training.seed"], run.params["data.split_seed"]) for run in compared} == {
        ("0", "0"),
        ("1", "1"),
    }
    # Each repeat is compared at the best of its own tuning; of equal values, at the first.
    first = {
        (run.tags["batch_size"], run.params["training.seed"][-1]): run.tags["learning_rate"]
        for run in sorted(tuned, key=lambda run: -int(run.tags["trial"]))
    }
    assert {
        (run.tags["batch_size"], run.tags["repeat"]): run.tags["learning_rate"] for run in compared
    } == first
    before = {run.run_id for kind in ("tuning", "trial", "repeat") for run in runs(folder, kind)}
    assert run(folder, "train", "-m", *arguments).code == 0
    assert {run.run_id for kind in ("tuning", "trial", "repeat") for run in runs(folder, kind)} == before


def test_two_drivers_share_a_study_with_nuisance_axes(folder: Path, url: str | None) -> None:
    """The first to end the tuning waits for the other's last trial before it compares."""
    arguments = (
        *("trial.target=work:slow", "model.dropout=0.05", "workers=1", "training.batch_size=1,2,3"),
        *("study.nuisance={optimizer.learning_rate:'choice(0.1,0.2,0.3)'}", "study.repeats=2"),
        *stored_at(url),
    )
    processes = [start(folder, *arguments) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert Counter(run.status for run in runs(folder, "tuning")) == {"FINISHED": 18}
    assert Counter(run.status for run in runs(folder, "repeat")) == {"FINISHED": 6}
    assert Counter(run.status for run in runs(folder, "study")) == {"FINISHED": 2}


FAULTS = {
    "segfault": "its process was killed by SIGSEGV",
    "killed": "its process was killed by SIGKILL",
    "exit3": "its process exited with code 3",
    "exit0": "its process exited with code 0",
    "hang": "it took longer than trial.timeout_seconds=10",
    "memory": "MB, more than trial.memory_mb=1200",
    "raise": "ValueError: no such thing",
    "leave": "TrainingError: The trial called sys.exit(7).",
    "nothing": "TrainingError: trial.target=work:faulty must return a kerasweep.Outcome",
    "not a number": "must give a finite value for each of 1 objectives, but gave [nan].",
    "infinite": "must give a finite value for each of 1 objectives, but gave [inf].",
    "array": "must give numbers, but gave val_accuracy=array([1., 1., 1.]).",
    "state": "must return one of ('complete', 'pruned', 'failed'), but returned 'splendid'.",
    "other run": "must return an Outcome of run_id=",
    "none": "TypeError: float() argument must be a string or a real number, not 'NoneType'",
    "name": 'says: Invalid value "val=accuracy" for parameter',
    "path": "ValueError: an artifact's path is one below its run",
    "foreign": "Foreign: one",
    "silent": "Silent: its text cannot be read",
    "orphan": "its process exited with code 4",
}


# What says that the configuration is poor; other faults tell the sampler nothing.
POOR = {"hang", "memory", "not a number", "infinite"}


def test_a_faulty_trial_fails_alone(folder: Path) -> None:
    done = run(
        folder,
        "train",
        "-m",
        "trial.target=work:faulty",
        "workers=2",
        "trial.timeout_seconds=10",
        "trial.memory_mb=1200",
        f"+model.kwargs.fault=fine,numpy,{','.join(FAULTS)},well",
    )
    assert done.code == 0, done
    children = {run.tags["fault"]: run for run in runs(folder, "trial")}
    assert set(children) == {"fine", "numpy", "well", *FAULTS}
    for fault, reason in FAULTS.items():
        child = children[fault]
        assert (child.status, child.tags["state"]) == ("FAILED", "failed"), fault
        assert reason in child.tags["reason"]
        assert child.metrics["val_accuracy"] == 0.5, fault
    assert {children[name].tags["state"] for name in ("fine", "numpy", "well")} == {"complete"}
    assert "3 complete, 20 failed" in done.stdout
    assert len(stored_trials(folder)) == 23
    assert {trial.params["+model.kwargs.fault"] for trial in stored_trials(folder) if is_poor(trial)} == POOR


def test_trial_whose_run_is_deleted_fails_alone(folder: Path) -> None:
    (folder / "hold").touch()
    process = start(folder, *HELD, "training.batch_size=1,2,3")
    wait_for_running(folder, 2)
    (first, *_) = runs(folder, "trial")
    MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db").delete_run(first.run_id)
    (folder / "hold").unlink()
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert "2 complete, 1 failed" in stdout


def test_two_drivers_share_a_sweep(folder: Path) -> None:
    (folder / "hold").touch()
    arguments = (*HELD, "workers=1", "training.batch_size=range(1,7)")
    processes = [start(folder, *arguments) for _ in range(2)]
    wait_for_running(folder, 2)
    (folder / "hold").unlink()
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert_whole(folder, 6)
    trained = [sum(line.startswith("[") for line in stdout.splitlines()) for stdout, _ in said]
    assert sum(trained) == 6 and min(trained) > 0


@dataclass(frozen=True)
class Stopped:
    """How a command of a sweep ended, and the sweep's runs after it."""

    code: int | None
    stdout: str
    stderr: str
    states: Counter[str]  # of the trials' runs
    parent: str  # the status of the sweep's run


def stopped(folder: Path, process: Command) -> Stopped:
    stdout, stderr = process.communicate(timeout=60)
    assert_ended(folder)
    states = Counter(run.tags.get("state", run.status) for run in runs(folder, "trial"))
    (parent,) = runs(folder, "study")
    return Stopped(process.returncode, stdout, stderr, states, parent.status)


@dataclass(frozen=True)
class Interrupted:
    """A sweep of six trials that was interrupted three times, and its last command."""

    folder: Path
    before_a_trial: Stopped
    once: Stopped
    twice: Stopped
    last: Done


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory, copy_database: Callable[[Path], Path]
) -> Interrupted:
    folder = prepare(tmp_path_factory.mktemp("interrupted"), copy_database)
    arguments = (*HELD, "training.batch_size=range(1,7)")
    function = "kerasweep.multirun.open_sweeps.recover_trials"
    before_a_trial = stopped(folder, start_signalled(folder, signal.SIGTERM, function, *arguments))
    (folder / "hold").touch()
    process = start(folder, *arguments)
    wait_for_running(folder, 2)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "stopping: the trials under way are trained to their end")
    (folder / "hold").unlink()
    once = stopped(folder, process)
    (folder / "hold").touch()
    process = start(folder, *arguments)
    wait_for_running(folder, 2)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "stopping: ")
    process.send_signal(signal.SIGINT)
    twice = stopped(folder, process)
    (folder / "hold").unlink()
    return Interrupted(folder, before_a_trial, once, twice, run(folder, "train", "-m", *arguments))


def test_interrupt_before_the_first_trial_leaves_no_open_run(interrupted: Interrupted) -> None:
    stop = interrupted.before_a_trial
    assert (stop.code, stop.stderr, stop.parent) == (130, "stopped\n", "KILLED")
    assert not stop.states


def test_first_interrupt_lets_running_trials_finish(interrupted: Interrupted) -> None:
    stop = interrupted.once
    assert (stop.code, stop.stderr, stop.parent) == (130, "stopped\n", "KILLED")
    assert stop.states == {"complete": 2}
    assert "trials are done; the same command goes on from here" in stop.stdout


def test_second_interrupt_stops_at_once_and_closes_everything(interrupted: Interrupted) -> None:
    """The trials would wait for ever."""
    stop = interrupted.twice
    assert (stop.code, stop.stderr, stop.parent) == (130, "stopped\n", "KILLED")
    assert stop.states == {"complete": 2, "cancelled": 2}


def test_interrupted_sweep_continues_to_its_total(interrupted: Interrupted) -> None:
    assert interrupted.last.code == 0, interrupted.last
    assert_whole(interrupted.folder, 6)


def test_command_killed_while_its_template_imports_leaves_no_process(folder: Path) -> None:
    process = start_new(folder, "train", "-m", *NETWORKS, "training.batch_size=8,9")
    wait_for(lambda: bool(psutil.Process(process.pid).children()))
    process.kill()
    process.communicate()
    assert_ended(folder)


@dataclass(frozen=True)
class Killed:
    """A sweep of networks whose processes, template and command got signals, and its last command."""

    folder: Path
    session: Stopped
    template: Stopped
    last: Done


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, copy_database: Callable[[Path], Path]) -> Killed:
    folder = prepare(tmp_path_factory.mktemp("killed"), copy_database)
    arguments = (*NETWORKS, "training.batch_size=range(8,16)")
    process = start(folder, *arguments)
    wait_for_running(folder, 2)
    for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        each.send_signal(signal.SIGTERM)
    session = stopped(folder, process)
    process = start(folder, *arguments)
    wait_for_running(folder, 2)
    (template,) = [
        child
        for child in psutil.Process(process.pid).children()
        if "resource_tracker" not in " ".join(child.cmdline())
    ]
    template.kill()
    template_killed = stopped(folder, process)
    process = start(folder, *arguments)
    wait_for_line(process, "/8]")
    process.kill()
    process.communicate()
    assert_ended(folder)
    return Killed(folder, session, template_killed, run(folder, "train", "-m", *arguments))


def test_signal_to_all_processes_lets_running_trials_finish(killed: Killed) -> None:
    """A shell or a scheduler that ends a whole process group sends such signals."""
    assert (killed.session.code, killed.session.stderr) == (130, "stopped\n")
    assert "the trials under way are trained to their end" in killed.session.stdout
    assert killed.session.states == {"complete": 2}


def test_killed_template_loses_no_trial(killed: Killed) -> None:
    """Its workers end with it; their trials are cancelled, not failed, and trained later."""
    assert killed.template.code == 2
    assert killed.template.stderr.splitlines()[-1].startswith(
        "error: The process that workers are forked from has ended, and so have they"
    )
    assert killed.template.states == {"complete": 2, "cancelled": 2}


def test_killed_sweep_of_networks_continues_to_its_total(killed: Killed) -> None:
    assert killed.last.code == 0, killed.last
    assert_whole(killed.folder, 8)


@pytest.fixture
def locked(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a process that, after a line on its stdin, locks the tracking database for six seconds."""
    program = (
        "import sqlite3, time; input(); c = sqlite3.connect('mlruns/mlflow.db', isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); time.sleep(6)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


def test_sweep_waits_for_a_locked_database(folder: Path, locked: subprocess.Popen[bytes]) -> None:
    """SQLite alone would wait for five seconds."""
    (folder / "hold").touch()
    process = start(folder, *HELD, "training.batch_size=1,2,3")
    wait_for_running(folder, 2)
    assert locked.stdin is not None and locked.stdout is not None
    locked.stdin.write(b"\n")
    locked.stdin.flush()
    locked.stdout.readline()
    began = time.monotonic()
    (folder / "hold").unlink()
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert time.monotonic() - began > 5
    assert_whole(folder, 3)


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[Command, str]]:
    """Starts MLflow's server on the folder's database; returns the process and its URI."""
    process = Command(folder, ["-c", SERVER], environment())
    yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


def test_single_run_ends_with_a_sentence_when_the_server_dies(
    folder: Path, server: tuple[Command, str]
) -> None:
    place = f"tracking.uri={server[1]}"
    process = processes.start(
        folder, "train", "debug=fast", "model.filters=[4]", "training.epochs=100000", place, **ONE_RETRY
    )
    wait_for_line(process, "epoch 1/")
    server[0].kill()
    try:
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 2
    assert stderr.startswith(f"error: MLflow at {server[1]} can no longer be used: "), stderr
    assert stderr.count("\n") == 1, stderr


def assert_all_epochs(folder: Path) -> None:
    """Asserts that each complete trial's run has its params, its objective, and each epoch once."""
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    for trial in runs(folder, "trial"):
        if trial.tags["state"] == "complete":
            points = client.get_metric_history(trial.run_id, "val_accuracy")
            assert sorted(point.step for point in points if point.step) == [1, 2, 3]
            assert trial.metrics["objective"] == 0.3 and "training.batch_size" in trial.params


def test_a_sweep_goes_on_when_the_server_dies_and_comes_back(
    folder: Path, server: tuple[Command, str]
) -> None:
    """Two trials are under way; they end without the server, and no other begins before it is back."""
    (folder / "hold").touch()
    process = start(folder, *HELD, "training.batch_size=range(1,6)", f"tracking.uri={server[1]}")
    wait_for_running(folder, 2)
    server[0].kill()
    server[0].wait()
    (folder / "hold").unlink()
    wait_for_line(process, f"note: MLflow at {server[1]} can no longer be used: ")
    wait_for(lambda: sum(RESULT in trial.user_attrs for trial in stored_trials(folder)) == 2)
    again = Command(folder, ["-c", SERVER], environment(PORT=server[1].rpartition(":")[2]))
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        again.kill()
        again.communicate()
    assert (process.returncode, stderr) == (0, ""), stderr
    assert "note: MLflow answers again" in stdout
    assert_whole(folder, 5)
    assert_all_epochs(folder)
    assert not list((folder / "mlruns/studies").glob("*.spool/*"))


def test_a_sweep_ends_when_the_server_comes_back_with_another_database(
    folder: Path, server: tuple[Command, str], copy_database: Callable[[Path], Path]
) -> None:
    """The trials that ended meanwhile are recorded once the first database is there again."""
    (folder / "hold").touch()
    arguments = (*HELD, "training.batch_size=range(1,6)")
    process = start(folder, *arguments, f"tracking.uri={server[1]}")
    wait_for_running(folder, 2)
    server[0].kill()
    server[0].wait()
    (folder / "hold").unlink()
    wait_for(lambda: sum(RESULT in trial.user_attrs for trial in stored_trials(folder)) == 2)
    port, store = server[1].rpartition(":")[2], f"sqlite:///{copy_database(folder / 'other')}"
    again = Command(folder, ["-c", SERVER], environment(PORT=port, STORE=store))
    try:
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        again.kill()
        again.communicate()
    assert process.returncode == 2
    assert stderr.startswith(f"error: MLflow at {server[1]} says: ") and stderr.count("\n") == 1, stderr
    assert "No Experiment with id=1 exists" in stderr
    done = run(folder, "train", "-m", *arguments)
    assert done.code == 0, done
    assert_whole(folder, 5)
    assert_all_epochs(folder)


def test_runs_of_another_user_on_the_server_are_left_alone(
    folder: Path, server: tuple[Command, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The sweeps of both have one name, and each user has a journal; the first one's trials are under way."""
    other = tmp_path_factory.mktemp("other")
    (other / "work.py").write_text(WORK)
    (folder / "hold").touch()
    arguments = (*HELD, "training.batch_size=1,2", f"tracking.uri={server[1]}")
    first = start(folder, *arguments)
    wait_for_running(folder, 2)
    second = run(other, "train", "-m", *arguments)
    assert second.code == 0 and "without stored trials; these stay, and batch_size-" in second.stdout
    assert {trial.status for trial in runs(folder, "trial") if not trial.tags["sweep"].endswith("-2")} == {
        "RUNNING"
    }
    (folder / "hold").unlink()
    stdout, stderr = first.communicate(timeout=60)
    assert (first.returncode, stderr) == (0, ""), stderr
    counts = Counter((trial.tags["sweep"][-2:] == "-2", trial.status) for trial in runs(folder, "trial"))
    assert counts == {(False, "FINISHED"): 2, (True, "FINISHED"): 2}


@pytest.mark.parametrize("launcher", ["workers", "submitit_local"])
def test_a_password_is_written_nowhere(folder: Path, server: tuple[Command, str], launcher: str) -> None:
    address = server[1].replace("://", "://me:pass%40word@")
    arguments = ("debug=fast", "model.filters=[4]", "workers=1", f"hydra/launcher={launcher}")
    values = ("training.batch_size=64,32", f"tracking.uri={address}")
    done = run(folder, "train", "-m", *arguments, *values, **processes.forking(folder))
    assert done.code == 0 and "pass%40word" not in done.stdout + done.stderr
    assert f"browse:  {server[1].replace('://', '://me:***@')}" in done.stdout
    written = [file for file in folder.rglob("*") if file.is_file() and b"pass%40word" in file.read_bytes()]
    assert not written and any(folder.rglob(".hydra/hydra.yaml"))


@pytest.mark.parametrize(
    ("number", "url"),
    [(signal.SIGINT, "journal"), (signal.SIGKILL, "journal"), (signal.SIGKILL, "postgresql")],
    indirect=["url"],
)
def test_results_that_a_dead_server_did_not_take_are_recorded_by_the_next_start(
    folder: Path, server: tuple[Command, str], number: signal.Signals, url: str | None
) -> None:
    """The server dies before the last trials end, and then the command ends."""
    (folder / "hold").touch()
    arguments = (*HELD, "training.batch_size=1,2", *stored_at(url))
    process = start(folder, *arguments, f"tracking.uri={server[1]}", **ONE_RETRY)
    wait_for_running(folder, 2)
    server[0].kill()
    server[0].wait()
    (folder / "hold").unlink()
    wait_for(lambda: sum(RESULT in trial.user_attrs for trial in stored_trials(folder, url)) == 2)
    process.send_signal(number)
    process.communicate(timeout=90)
    assert {trial.status for trial in runs(folder, "trial")} == {"RUNNING"}
    done = run(folder, "train", "-m", *arguments)  # the same database, without a server
    assert done.code == 0, done
    assert_whole(folder, 2, url)
    assert_all_epochs(folder)
    assert not list((folder / "mlruns/studies").glob("*.spool/*"))


def test_full_disk_ends_the_sweep_with_a_sentence_and_it_continues_later(folder: Path) -> None:
    """The first of journal, a worker's files and database that reaches the size limit ends the sweep."""
    arguments = (*SLOW, "training.batch_size=range(1,13)")
    size = (folder / "mlruns/mlflow.db").stat().st_size
    for spare in (3_000, 90_000):  # at the start, and amid the trials
        process = start(folder, *arguments, max_file_bytes=size + spare)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 2, stderr
        assert stderr.startswith("error: ") and "Traceback" not in stderr
    assert run(folder, "train", "-m", *arguments).code == 0
    assert_whole(folder, 12)
    with sqlite3.connect(folder / "mlruns/mlflow.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_full_disk_fails_no_trial(folder: Path) -> None:
    """The trial does not fail: it is trained again once there is space."""
    (folder / "full.py").write_text(
        "import errno, pathlib\nfrom work import slow\n"
        "def train(cfg, ref, recorder, report, folder):\n"
        "    if pathlib.Path('is_full').exists() and cfg.training.batch_size == 2:\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    return slow(cfg, ref, recorder, report, folder)\n"
    )
    (folder / "is_full").touch()
    arguments = ("trial.target=full:train", "workers=1", "model.dropout=0", "training.batch_size=1,2,3")
    done = run(folder, "train", "-m", *arguments)
    said = "A trial cannot write: [Errno 28] No space left on device"
    advice = "To go on from here, free some space on its disk, and start the same command."
    assert (done.code, done.stderr) == (2, f"error: {said}. {advice}\n")
    (folder / "is_full").unlink()
    assert run(folder, "train", "-m", *arguments).code == 0
    assert_whole(folder, 3)


def test_code_that_is_edited_while_a_sweep_runs_fails_no_trial(folder: Path) -> None:
    """The next worker finds other code: the sweep ends, and goes on once the old code is back."""
    code = (
        "import os, pathlib\nfrom work import slow\nWIDTH = 1\n"
        "def train(cfg, ref, recorder, report, folder):\n"
        "    file = pathlib.Path(__file__)\n"
        "    if cfg.training.batch_size == 2 and pathlib.Path('edits').exists():\n"
        "        pathlib.Path('edits').unlink()\n"
        "        file.write_text(file.read_text().replace('WIDTH = 1\\n', 'WIDTH = 2\\n'))\n"
        "        os._exit(1)\n"
        "    return slow(cfg, ref, recorder, report, folder)\n"
    )
    (folder / "edited.py").write_text(code)
    (folder / "edits").touch()
    arguments = ("trial.target=edited:train", "workers=1", "model.dropout=0", "training.batch_size=1,2,3,4")
    done = run(folder, "train", "-m", *arguments)
    assert done.code == 2, done
    assert done.stderr.startswith("error: The code of trial.target=edited:train changed while the sweep ran.")
    (folder / "edited.py").write_text(code)
    done = run(folder, "train", "-m", *arguments)
    assert done.code == 0 and "3 complete, 1 failed" in done.stdout, done  # the one whose process ended
    states = sorted(trial.state.name for trial in stored_trials(folder))
    assert states == ["COMPLETE"] * 3 + ["FAIL"]
    assert not [each for each in runs(folder, "trial") if each.status == "RUNNING"]


def test_checkpointed_trial_of_a_killed_driver_continues_from_its_last_epoch(folder: Path) -> None:
    arguments = (
        *("debug=fast", "model.filters=[4]", "training.epochs=60", "training.checkpoint.enabled=true"),
        *("training.deterministic=true", "model.kernel_size=3,5", "study.trials=1", "model.dropout=0.2"),
    )
    process = start(folder, *arguments)
    wait_for(lambda: any(len(read_state(job).history) >= 3 for job in checkpointed_jobs(folder)))
    process.kill()
    process.communicate()
    done = run(folder, "train", "-m", *arguments)
    assert done.code == 0, done
    first, _ = checkpointed_jobs(folder)
    before = read_state(first).history
    assert 3 <= len(before) < 60
    after = history(folder, 1)
    assert len(after) == 60
    # Equal seconds show that these epochs were restored, not trained again.
    for metric in ("val_loss", "epoch_seconds"):
        restored = [value for _, value in history(folder, 1, metric)[: len(before)]]
        assert restored == [epoch[metric] for epoch in before]
    assert_whole(folder, 1)


def checkpointed_jobs(folder: Path) -> list[Path]:
    """Returns the folders of the jobs that have saved a training state."""
    return sorted(path.parents[1] for path in (folder / "mlruns/jobs").glob("*/*/checkpoints/state.npz"))


def history(folder: Path, trial: int, metric: str = "val_loss") -> list[tuple[int, float]]:
    """Returns (epoch, value) pairs of a metric from a trial's run."""
    found = [each for each in runs(folder, "trial") if each.tags["trial"] == str(trial)]
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    points = client.get_metric_history(found[0].run_id, metric) if found else []
    return [(point.step, point.value) for point in points]
