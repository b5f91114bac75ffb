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
from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, JobFailed, JobLost
from kerasweep.workers.ray_cluster import connect, modules_path
from kerasweep.workers.ray_pool import RayPool, Share, WorkerConfig
from kerasweep.workers.worker import Channel, Finished, Job, Report

MODULE = "tests.workers.test_ray_pool"


def prepare(shared: bytes) -> None:
    if shared == b"ends":
        os._exit(4)


def obey(order: str, channel: Channel) -> Any:
    """Does what the payload says."""
    if order == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "hang":
        channel.report(1, 0.5, False)
        time.sleep(600)
    if order == "ask":
        return channel.report(1, 0.5, True), channel.report(2, 0.75, True)
    return order, os.getcwd(), os.environ["TF_NUM_INTRAOP_THREADS"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def pool(cluster: Cluster, tmp_path: Path) -> Iterator[RayPool]:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path), Share(1, 0), None)
    yield pool
    pool.stop()


def setup(folder: Path, shared: bytes = b"", limits: Limits | None = None) -> WorkerConfig:
    variables = {"TF_NUM_INTRAOP_THREADS": "1"}
    return WorkerConfig(
        str(folder), variables, modules_path(), f"{MODULE}:prepare", shared, limits or Limits()
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
    pool = RayPool(setup(tmp_path, limits=Limits(timeout_seconds=0.5)), Share(1, 0), None)
    (worker,) = wait_for(pool, 1)
    submit(pool, worker, 1, "hang")
    assert isinstance(next_event(pool)[1], Report)
    event = next_event(pool)[1]
    assert isinstance(event, JobFailed) and event.exceeded_limit
    pool.stop()


def test_nodes_come_and_go(cluster: Cluster, pool: RayPool) -> None:
    (first,) = wait_for(pool, 1)
    node = cluster.add_node(num_cpus=1)
    free = wait_for(pool, 2)
    (second,) = set(free) - {first}
    submit(pool, second, 1, "hang")
    assert next_event(pool) == (second, Report(1, 1, 0.5, False))
    cluster.remove_node(node, allow_graceful=False)
    number, event = next_event(pool)
    assert number == second and isinstance(event, JobLost) and event.job == 1
    assert event.reason.startswith("its worker on the cluster has ended: The actor")
    assert pool.free() == [first]
    pool.answer(second, True)  # the answer of a driver that has not heard of it
    node = cluster.add_node(num_cpus=1)
    assert first in wait_for(pool, 2)
    deadline = time.monotonic() + 120
    while (
        sum(actor is not None for actor in pool._actors) != 2
    ):  # until the cluster says that a node has gone
        assert pool.next_event(1.0) is None and time.monotonic() < deadline
    assert len(pool.free()) == 2
    cluster.remove_node(node, allow_graceful=False)


def test_no_more_workers_than_the_user_wants(cluster: Cluster, tmp_path: Path) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path), Share(0.25, 0), 2)
    assert wait_for(pool, 2) == [0, 1]
    assert pool.next_event(3.0) is None and len(pool) == 2
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


def test_a_folder_that_nodes_lack_is_named(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path / "absent"), Share(1, 0), None)
    with pytest.raises(
        TrainingError, match="No worker starts on the Ray cluster: FileNotFoundError: .*absent"
    ):
        next_event(pool)
    assert "note: a worker does not start on the cluster" in capsys.readouterr().out
    pool.stop()


def test_workers_that_do_not_start(cluster: Cluster, tmp_path: Path) -> None:
    connect(cluster.address, {})
    pool = RayPool(setup(tmp_path, b"ends"), Share(1, 0), None)
    with pytest.raises(TrainingError, match="Workers ended before they were ready, 3 times in a row"):
        next_event(pool)
    pool.stop()


def test_no_cluster_at_the_address() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingError, match=r"^Ray cannot be used: .* correct hydra.launcher.address"):
        connect("127.0.0.1:1", {})
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == handler
