"""Workers on a Ray cluster of two nodes: jobs, nodes that go in the middle, nodes that come."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from kerasweep.errors import TrainingError
from kerasweep.tracking.entries import File
from kerasweep.workers import ray_pool
from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, JobFailed, JobLost
from kerasweep.workers.ray_cluster import connect, modules_path, variables_for
from kerasweep.workers.ray_pool import RayPool
from kerasweep.workers.ray_worker import Share, WorkerConfig
from kerasweep.workers.worker import Finished, Job, Recorded, Report

MODULE = "tests.workers.ray_jobs"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the nodes more often than a driver on a large cluster does."""
    monkeypatch.setattr(ray_pool, "LOOK_SECONDS", 0.2)


@pytest.fixture
def pool(cluster: Cluster, tmp_path: Path) -> Iterator[RayPool]:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path), Share(1, 0), 1)
    yield pool
    pool.stop()


def setup(folder: Path | None, shared: bytes = b"", limits: Limits | None = None) -> WorkerConfig:
    variables = {"TF_NUM_INTRAOP_THREADS": "1"}
    return WorkerConfig(
        folder and str(folder), variables, modules_path(), f"{MODULE}:prepare", shared, limits or Limits()
    )


def submit(pool: RayPool, number: int, job: int, order: str) -> None:
    pool.submit(number, Job(job, f"{MODULE}:obey", order))


def next_event(pool: RayPool) -> tuple[int, Event]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        event = pool.next_event(1.0)
        if event is not None:
            return event
    raise AssertionError("no event")


def wait_for(pool: RayPool, workers: int) -> list[int]:
    """Returns the free workers once there are so many."""
    deadline = time.monotonic() + 120
    while len(pool.free()) != workers:
        assert pool.next_event(1.0) is None and time.monotonic() < deadline
    return pool.free()


def test_a_worker_does_one_job_after_another(pool: RayPool, tmp_path: Path) -> None:
    (worker,) = wait_for(pool, 1)
    for job in (1, 2):
        submit(pool, worker, job, "work")
        assert pool.free() == []
        assert next_event(pool) == (worker, Finished(job, ("work", str(tmp_path), "1")))
        assert pool.free() == [worker]


def test_reports_wait_for_their_answers(pool: RayPool) -> None:
    (worker,) = wait_for(pool, 1)
    submit(pool, worker, 1, "ask")
    for epoch, value in ((1, 0.5), (2, 0.75)):
        assert next_event(pool) == (worker, Report(1, epoch, value, True))
        pool.answer(worker, epoch == 2)
    assert next_event(pool) == (worker, Finished(1, (False, True)))


def test_a_crash_costs_its_job_alone(pool: RayPool) -> None:
    (worker,) = wait_for(pool, 1)
    submit(pool, worker, 1, "crash")
    number, event = next_event(pool)
    assert number == worker and isinstance(event, JobFailed)
    assert event.reason.startswith("its process was killed by SIGKILL")
    submit(pool, worker, 2, "work")  # before another process is ready
    assert isinstance(next_event(pool)[1], Finished)


def test_limits_hold(cluster: Cluster, tmp_path: Path) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path, limits=Limits(timeout_seconds=0.5)), Share(1, 0), 1)
    (worker,) = wait_for(pool, 1)
    submit(pool, worker, 1, "hang")
    assert isinstance(next_event(pool)[1], Report)
    event = next_event(pool)[1]
    assert isinstance(event, JobFailed) and event.exceeded_limit
    pool.stop()


def test_files_of_a_node_without_the_folder_come_to_the_driver(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "brought").mkdir()
    connect(cluster.address, {"working_dir": "brought"})
    pool = RayPool(setup(None), Share(1, 0), 1)
    (worker,) = wait_for(pool, 1)
    submit(pool, worker, 1, "record")
    place = tmp_path / "notes.txt"
    assert next_event(pool) == (worker, Recorded(1, "run", File(place, "notes")))
    assert place.read_text() == "content"
    _, end = next_event(pool)
    assert isinstance(end, Finished) and "working_dir_files" in end.result.partition(os.pathsep)[0]
    pool.stop()


def test_nodes_come_and_go(cluster: Cluster, tmp_path: Path) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path), Share(1, 0), None)
    before = wait_for(pool, 2)
    node = cluster.add_node(num_cpus=1)
    (third,) = set(wait_for(pool, 3)) - set(before)
    submit(pool, third, 1, "hang")
    assert next_event(pool) == (third, Report(1, 1, 0.5, False))
    cluster.remove_node(node, allow_graceful=False)
    number, event = next_event(pool)
    assert number == third and isinstance(event, JobLost) and event.job == 1
    assert event.reason.startswith("its worker on the cluster has ended: The actor")
    assert pool.free() == before
    pool.answer(third, True)  # the answer of a driver that has not heard of it
    node = cluster.add_node(num_cpus=1)
    assert set(before) < set(wait_for(pool, 3))
    deadline = time.monotonic() + 120
    while sum(actor is not None for actor in pool._actors) != 3:  # until the cluster knows of the node's end
        assert pool.next_event(1.0) is None and time.monotonic() < deadline
    assert len(pool.free()) == 3
    cluster.remove_node(node, allow_graceful=False)
    pool.stop()


def test_no_more_workers_than_the_user_wants(cluster: Cluster, tmp_path: Path) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path), Share(0.25, 0), 2)
    assert wait_for(pool, 2) == [0, 1]
    assert pool.next_event(3 * ray_pool.LOOK_SECONDS) is None and len(pool) == 2
    pool.stop()


@pytest.mark.parametrize(
    ("share", "resources", "workers"),
    [
        (Share(1, 0), {"CPU": 2.0}, 2),
        (Share(0.5, 0), {"CPU": 2.0, "GPU": 1.0}, 4),
        (Share(1, 0.25), {"CPU": 8.0, "GPU": 1.0}, 4),
        (Share(1, 1), {"CPU": 8.0}, 0),
        (Share(4, 0), {"CPU": 2.0}, 0),
        (Share(0.1, 0.2), {"CPU": 1.0, "GPU": 1.0}, 5),
        (Share(0.1, 0), {"CPU": 1.0}, 10),
    ],
)
def test_as_many_workers_as_fit(share: Share, resources: dict[str, float], workers: int) -> None:
    assert share.fits(resources) == workers


def test_a_cluster_without_room_is_named(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path), Share(64, 0), None)
    assert pool.next_event(0.1) is None and len(pool) == 0
    assert (
        "no node of the cluster has room for a worker, which needs trial.cpus=64" in capsys.readouterr().out
    )
    pool.stop()


def test_each_warning_is_said_once(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First no node has room for a worker; then one comes, which lacks the project's folder."""
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path / "absent"), Share(3, 0), 1)
    node = cluster.add_node(num_cpus=3)
    with pytest.raises(TrainingError, match="No worker starts on the Ray cluster"):
        next_event(pool)
    cluster.remove_node(node, allow_graceful=False)
    pool.stop()
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2 and "no node of the cluster has room" in notes[0]
    assert notes[1].startswith("note: a worker does not start on the cluster: FileNotFoundError")


def test_a_folder_that_nodes_lack_is_named(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path / "absent"), Share(1, 0), 1)
    with pytest.raises(
        TrainingError, match="No worker starts on the Ray cluster: FileNotFoundError: .*absent"
    ):
        next_event(pool)
    assert "note: a worker does not start on the cluster" in capsys.readouterr().out
    pool.stop()


def test_workers_that_do_not_start_are_named(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path, b"ends"), Share(1, 0), 1)
    said, deadline = "", time.monotonic() + 120
    while "note: " not in said:  # Ray may say that a node of an earlier test has gone
        assert pool.next_event(0.1) is None and time.monotonic() < deadline
        said += capsys.readouterr().out
    cause = "Workers ended before they were ready, 3 times in a row"
    assert f"note: a worker does not start on the cluster: {cause}" in said
    pool.stop()


def test_no_cluster_at_the_address() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingError, match=r"^Ray cannot be used: .* correct hydra.launcher.address"):
        connect("127.0.0.1:1", {})
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.parametrize(
    ("runtime_env", "reason"),
    [
        ({"working_dir": "absent"}, "directory absent must be an existing directory or a supported archive"),
        ({"env_vars": {"A": 1}}, r"runtime_env\['env_vars'\] must be of type Dict"),
    ],
)
def test_a_runtime_environment_that_ray_refuses_is_named(
    cluster: Cluster, runtime_env: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TrainingError, match=f"^Ray cannot be used: {reason}.*hydra.launcher.runtime_env.$"):
        connect(cluster.address, runtime_env)
    assert not ray.is_initialized()


def test_variables_of_workers() -> None:
    mine = {"TF_ENABLE_ONEDNN_OPTS": "1", "MLFLOW_TRACKING_TOKEN": "secret", "HOME": "/home/me"}
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    kept = {"TF_ENABLE_ONEDNN_OPTS": "1", "MLFLOW_TRACKING_TOKEN": "secret"}
    assert variables_for(Share(2.5, 0.5), mine) == {**kept, **dict.fromkeys(names, "2")}
    without_gpu = variables_for(Share(0.5, 0), {"OMP_NUM_THREADS": "3"})
    threads = {**dict.fromkeys(names, "1"), "OMP_NUM_THREADS": "3"}
    assert without_gpu == {**threads, "CUDA_VISIBLE_DEVICES": "-1"}  # else TensorFlow takes all of them
