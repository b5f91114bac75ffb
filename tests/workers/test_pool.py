"""The pool finishes jobs, notices each kind of process end, and starts replacements."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

from kerasweep.errors import TrainingError
from kerasweep.tracking.entries import Metrics
from kerasweep.workers import process, template
from kerasweep.workers.limits import Limits, rss_mb
from kerasweep.workers.pool import POLL_SECONDS, Event, JobFailed, WorkerPool
from kerasweep.workers.worker import Channel, Finished, Job, Recorded, Report

MODULE = "tests.workers.test_pool"
SLOW_SECONDS = 1.0
LEFT: list[bytearray] = []


class Garbled:
    """An object that cannot be unpickled from a message."""

    def __reduce__(self) -> Any:
        return int, ("x",)


def prepare(shared: bytes) -> None:
    """Prepares a worker process before its first job."""
    if shared == b"failed_starts":
        os._exit(4)
    if shared == b"slow":
        time.sleep(SLOW_SECONDS)


def leave_a_process(session: str, file: Path) -> None:
    """Starts a process that sleeps, and writes its id into a file."""
    if session == "of a process that has ended":
        if (between := os.fork()) == 0:
            leave_a_process("own", file)
            os._exit(0)
        os.waitpid(between, 0)
        return
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=session == "own"
    )
    whole = file.with_suffix(".new")
    whole.write_text(str(process.pid))
    whole.rename(file)


def obey(order: str, channel: Channel) -> Any:
    """Runs a job that does what its payload says."""
    if order == "ask":
        return channel.report(1, 0.5, True), channel.report(2, 0.75, True)
    if order == "call":
        channel.record("run", Metrics({"loss": 0.5}, 1, 0))
    if order == "hang":
        time.sleep(60)
    if order == "timeout of its own":
        raise TimeoutError("of its own")
    if order == "grow":
        globals()["kept"] = bytearray(300_000_000)
    if order == "leave":
        LEFT.append(bytearray(100_000_000))
        time.sleep(1.5 * POLL_SECONDS)
    if order == "garbled":
        channel.record("run", Garbled())
        time.sleep(60)
    if order.startswith("orphan "):
        orphan = os.fork()
        if orphan == 0:
            time.sleep(60)
        Path(order.removeprefix("orphan ")).write_text(str(orphan))
        os._exit(0)
    if order.startswith("start and leave "):
        session, _, file = order.removeprefix("start and leave ").rpartition(" ")
        leave_a_process(session, Path(file))
        return os.getpid()
    if order.startswith("start and hang "):
        leave_a_process("own", Path(order.removeprefix("start and hang ")))
        time.sleep(60)
    if order == "kill the group":
        os.killpg(0, signal.SIGKILL)
    if order == "start a process":
        helper = get_context("fork").Process(target=os._exit, args=(5,))
        helper.start()
        helper.join()
        return helper.exitcode
    if order == "die in a message":
        # This writes the header of a message of 100 bytes; the child keeps the pipe open.
        os.write(channel._connection.fileno(), struct.pack("!i", 100) + b"x")
        if os.fork() == 0:
            time.sleep(4)
        os._exit(6)
    if order == "say much and die":
        for epoch in range(1, 101):
            channel.report(epoch, 0.5, False)
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "leave a thread":
        threading.Timer(0.1, channel.report, (9, 0.5, True)).start()
    if order == "ask after a while":
        time.sleep(0.3)
        return channel.report(1, 0.5, True), channel.report(2, 0.5, True)
    if order.startswith("exit"):
        os._exit(int(order[-1]))
    return os.getpid(), os.environ["WORKER"]


@pytest.fixture(params=["spawn", "forkserver"])
def pool_of(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., WorkerPool]]:
    """Returns a function that makes pools whose workers are spawned or forked from a template."""
    pools: list[WorkerPool] = []
    if request.param == "forkserver":
        forkserver.set_forkserver_preload([MODULE])
        monkeypatch.setattr(template, "_environment", template._read_at_import())
    assert template.worker_context().get_start_method() == request.param

    def build(count: int = 1, shared: bytes = b"", **limits: Any) -> WorkerPool:
        def variables(worker: int) -> dict[str, str]:
            return {"WORKER": str(worker)}

        pools.append(WorkerPool(variables, f"{MODULE}:prepare", shared, Limits(**limits)))
        pools[-1].start(count)
        return pools[-1]

    yield build
    for pool in pools:
        pool.stop()


def wait_free(pool: WorkerPool, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(pool.free()) < count:
        assert time.monotonic() < deadline
        pool.next_event(0.1)


def do(pool: WorkerPool, order: str, job: int = 1, worker: int = 0, is_limited: bool = True) -> list[Event]:
    """Runs a job and returns its events, the last of which is its end."""
    wait_free(pool, 1)
    pool.submit(worker, Job(job, f"{MODULE}:obey", order, is_limited))
    events: list[Event] = []
    deadline = time.monotonic() + 60
    while not events or not isinstance(events[-1], (Finished, JobFailed)):
        assert time.monotonic() < deadline
        found = pool.next_event(1.0)
        if found is not None:
            assert found[0] == worker
            events.append(found[1])
            if isinstance(found[1], Report) and found[1].waits:
                pool.answer(worker, found[1].epoch == 2)
    return events


def test_workers_are_ready_before_they_are_free(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of(2)
    assert (len(pool), pool.free()) == (2, [])
    wait_free(pool, 2)
    results = [do(pool, "work", job, worker)[0] for job, worker in ((1, 0), (2, 1), (3, 0))]
    first, second, third = [result.result for result in results if isinstance(result, Finished)]
    assert first == third and first[0] != second[0]
    assert (first[1], second[1]) == ("0", "1")
    assert sorted(pool.pids()) == sorted([first[0], second[0]])


def test_thread_that_outlives_its_job_takes_no_answer_of_the_next(
    pool_of: Callable[..., WorkerPool],
) -> None:
    pool = pool_of()
    do(pool, "leave a thread", 1)
    events = do(pool, "ask after a while", 2)
    assert events == [Report(2, 1, 0.5, True), Report(2, 2, 0.5, True), Finished(2, (False, True))]


def test_reports_of_a_job_arrive_in_order_and_are_answered(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of()
    assert do(pool, "ask") == [Report(1, 1, 0.5, True), Report(1, 2, 0.75, True), Finished(1, (False, True))]
    recorded, finished = do(pool, "call", 2)
    assert recorded == Recorded(2, "run", Metrics({"loss": 0.5}, 1, 0))
    assert isinstance(finished, Finished)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("exit0", "its process exited with code 0"),
        (
            "garbled",
            "its message cannot be read: ValueError: invalid literal for int() with base 10: 'x'",
        ),
        ("exit3", "its process exited with code 3"),
        ("timeout of its own", "TimeoutError: of its own"),
        ("hang", "it took longer than trial.timeout_seconds=1"),
    ],
)
def test_next_job_finds_a_worker_after_any_end(
    order: str, reason: str, pool_of: Callable[..., WorkerPool]
) -> None:
    pool = pool_of(timeout_seconds=1.0 if order == "hang" else 9.0)
    assert do(pool, order, 1) == [JobFailed(0, 1, reason, exceeded_limit=order == "hang")]
    (finished,) = do(pool, "work", 2)
    assert isinstance(finished, Finished)


def test_limits_of_trials_do_not_end_the_recording_of_a_winner(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of(timeout_seconds=0.05)
    reason = "it took longer than trial.timeout_seconds=0.05"
    assert do(pool, "hang", 1) == [JobFailed(0, 1, reason, exceeded_limit=True)]
    # A limited job that took as long would have been ended: the limit is looked at while this one runs.
    *_, finished = do(pool, "ask after a while", 2, is_limited=False)
    assert isinstance(finished, Finished)


def test_reports_of_a_killed_worker_are_read_before_its_end(pool_of: Callable[..., WorkerPool]) -> None:
    *reports, died = do(pool_of(), "say much and die")
    assert reports == [Report(1, epoch, 0.5, False) for epoch in range(1, 101)]
    assert isinstance(died, JobFailed) and died.reason.startswith("its process was killed by SIGKILL")


def test_end_in_the_middle_of_a_message_is_noticed(
    pool_of: Callable[..., WorkerPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MAX_SILENT_SECONDS", 1)
    assert do(pool_of(), "die in a message") == [JobFailed(0, 1, "its process exited with code 6")]


def test_job_that_cannot_be_unpacked_fails_alone(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of()
    wait_free(pool, 1)
    pool.submit(0, Job(1, f"{MODULE}:obey", Garbled()))
    event = None
    while event is None:
        event = pool.next_event(1.0)
    assert event[1] == JobFailed(0, 1, "ValueError: invalid literal for int() with base 10: 'x'")
    assert isinstance(do(pool, "work", 2)[0], Finished)


def assert_ends(file: Path) -> None:
    """Asserts that the process whose id is in a file ends: a signal takes a moment."""
    deadline, pid = time.monotonic() + 5, int(file.read_text())
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_processes_of_a_worker_end_with_it(pool_of: Callable[..., WorkerPool], tmp_path: Path) -> None:
    end = do(pool_of(), f"orphan {tmp_path / 'pid'}")
    assert end == [JobFailed(0, 1, "its process exited with code 0")]
    assert_ends(tmp_path / "pid")


@pytest.mark.parametrize("session", ["same", "own", "of a process that has ended"])
def test_processes_of_a_job_end_with_it(
    session: str, pool_of: Callable[..., WorkerPool], tmp_path: Path
) -> None:
    pool = pool_of()
    (done,) = do(pool, f"start and leave {session} {tmp_path / 'pid'}")
    assert isinstance(done, Finished)
    assert_ends(tmp_path / "pid")
    (again,) = do(pool, "work", 2)
    assert isinstance(again, Finished) and again.result[0] == done.result


@pytest.mark.parametrize("by", ["timeout", "stop"])
def test_processes_of_a_job_that_is_killed_end_with_it(
    by: str, pool_of: Callable[..., WorkerPool], tmp_path: Path
) -> None:
    pool = pool_of(timeout_seconds=1.0 if by == "timeout" else None)
    wait_free(pool, 1)
    pool.submit(0, Job(1, f"{MODULE}:obey", f"start and hang {tmp_path / 'pid'}"))
    if by == "timeout":
        found = pool.next_event(30)
        assert found is not None and isinstance(found[1], JobFailed)
    else:
        while not (tmp_path / "pid").exists():
            pool.next_event(0.1)
        pool.stop()
    assert_ends(tmp_path / "pid")


def test_a_signal_to_its_group_ends_a_worker_alone(pool_of: Callable[..., WorkerPool]) -> None:
    assert do(pool_of(), "kill the group") == [
        JobFailed(0, 1, "its process was killed by SIGKILL, as the kernel does if memory runs out")
    ]


def test_job_may_start_processes(pool_of: Callable[..., WorkerPool]) -> None:
    assert do(pool_of(), "start a process") == [Finished(1, 5)]


def test_worker_that_is_killed_between_two_jobs_is_replaced(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of()
    (first,) = do(pool, "work", 1)
    process = psutil.Process(pool.pids()[0])
    process.kill()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    (second,) = do(pool, "work", 2)
    assert isinstance(first, Finished) and isinstance(second, Finished)
    assert first.result[0] != second.result[0]


def test_signal_to_the_whole_group_ends_no_job(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of()
    wait_free(pool, 1)
    (pid,) = pool.pids()
    pool.submit(0, Job(1, f"{MODULE}:obey", "ask"))
    while (found := pool.next_event(5)) is None or not isinstance(found[1], Report):
        pass
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    pool.answer(0, False)
    assert isinstance(found := pool.next_event(30), tuple) and isinstance(found[1], Report)
    pool.answer(0, True)
    assert pool.next_event(30) == (0, Finished(1, (False, True)))


def test_job_given_to_a_dead_worker_runs_in_the_next(
    pool_of: Callable[..., WorkerPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool notices the death after it gave the job away, and the new process starts slowly."""
    monkeypatch.setattr("kerasweep.workers.pool.EXIT_SECONDS", SLOW_SECONDS / 2)
    workers = pool_of(shared=b"slow")
    wait_free(workers, 1)
    (pid,) = workers.pids()
    os.kill(pid, signal.SIGKILL)
    workers.submit(0, Job(1, f"{MODULE}:obey", ""))
    found = workers.next_event(30)
    assert found is not None and isinstance(found[1], Finished) and found[1].result[0] != pid


def test_grown_worker_is_replaced_after_its_job(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of(recycle_mb=250)
    (grown,), (fresh,), (same,) = (do(pool, order, job) for job, order in enumerate(("grow", "work", "work")))
    assert isinstance(grown, Finished) and isinstance(fresh, Finished) and isinstance(same, Finished)
    assert grown.result[0] != fresh.result[0] == same.result[0]
    assert 0 < rss_mb(pool.pids()[0]) < 250


def test_memory_left_by_earlier_jobs_fails_no_job(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of(memory_mb=500)
    said = [event for job in range(1, 6) for event in do(pool, "leave", job)]
    assert all(isinstance(event, Finished) for event in said)
    assert len({event.result[0] for event in said if isinstance(event, Finished)}) > 1


def test_workers_that_never_get_ready_end_the_sweep(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of(shared=b"failed_starts")
    with pytest.raises(TrainingError, match="Workers ended before they were ready, 3 times in a row"):
        wait_free(pool, 1)


def test_stop_ends_busy_and_idle_processes(pool_of: Callable[..., WorkerPool]) -> None:
    pool = pool_of(2)
    wait_free(pool, 2)
    processes = [psutil.Process(pid) for pid in pool.pids()]
    pool.submit(0, Job(1, f"{MODULE}:obey", "hang"))
    pool.stop()
    assert psutil.wait_procs(processes, timeout=5)[1] == []
