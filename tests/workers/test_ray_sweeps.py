"""Sweeps on a Ray cluster: as on one machine, with nodes that lack data and code, and workers that go."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from ray.cluster_utils import Cluster

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from tests.processes import Command, Done, call, start

WORK = """
import os, pathlib, time
import numpy as np
from kerasweep.data.prepare import load_prepared
from kerasweep.results import Outcome

def images():
    with open(os.environ["CALLS"], "a") as file:
        file.write("called, ")
    pixels, labels = np.full((60, 4, 4, 1), 7, np.uint8), np.arange(60) % 2
    return (pixels, labels), (pixels, labels)

def train(cfg, ref, recorder, report, folder):
    size = cfg.training.batch_size
    recorder.set_tags(ref.run_id, {
        "threads": os.environ["TF_NUM_INTRAOP_THREADS"],
        "gpus": os.environ["CUDA_VISIBLE_DEVICES"],
        "cache": os.environ.get("XDG_CACHE_HOME", ""),
        "code": str(pathlib.Path(__file__).parent),
        "number": os.environ.get("NUMBER", ""),
    })
    (folder / "notes.txt").write_text("kept")
    recorder.log_file(ref.run_id, folder / "notes.txt", "notes")
    for epoch in (1, 2):
        recorder.log_epoch(ref.run_id, epoch, {"val_accuracy": 0.01 * size})
        if report(epoch, 0.01 * size):
            return Outcome("pruned", ref.run_id, (0.01 * size,), {"val_accuracy": 0.01 * size}, epoch, 0.1)
    return Outcome("complete", ref.run_id, (0.01 * size,), {"val_accuracy": 0.01 * size}, 2, 0.1)

def shipped(cfg, ref, recorder, report, folder):
    source = load_prepared(cfg.data, ref.data_digest).train.source
    recorder.set_tags(ref.run_id, {"images": str(source.sum()), "file": str(source.filename)})
    return train(cfg, ref, recorder, report, folder)

def held(cfg, ref, recorder, report, folder):
    pathlib.Path(f"begun-{os.getpid()}").touch()
    while pathlib.Path("hold").exists():
        time.sleep(0.01)
    return train(cfg, ref, recorder, report, folder)
"""
SWEEP = ("-m", "hydra/launcher=ray")
HELD = (*SWEEP, "trial.target=work:held")
SHIPPED = (*SWEEP, "trial.target=work:shipped", "data.ship=true")


@pytest.fixture
def folder(tmp_path: Path, copy_database: Callable[[Path], Path]) -> Path:
    copy_database(tmp_path)
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


def of(cluster: Cluster) -> str:
    return f"hydra.launcher.address={cluster.address}"


def runs(folder: Path, kind: str = "trial") -> list[RunRecord]:
    return find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": kind})


def states(folder: Path) -> Counter[tuple[str, str]]:
    """Counts the runs by batch size and state; none is open."""
    found = runs(folder)
    assert all(run.status != "RUNNING" for run in found)
    return Counter((run.tags["batch_size"], run.tags["state"]) for run in found)


def once(sizes: str) -> Counter[tuple[str, str]]:
    return Counter((size, "complete") for size in sizes)


def wait_for_trials(folder: Path, count: int, processes: Sequence[Command]) -> list[psutil.Process]:
    """Waits until so many trials are held, and returns their processes."""
    deadline = time.monotonic() + 120
    while len(held := list(folder.glob("begun-*"))) < count:
        assert all(process.poll() is None for process in processes) and time.monotonic() < deadline
        time.sleep(0.1)
    return [psutil.Process(int(file.name.partition("-")[2])) for file in held]


def actor_of(worker: psutil.Process) -> psutil.Process:
    return next(parent for parent in worker.parents() if "ray::" in " ".join(parent.cmdline()))


def end_of(process: Command) -> Done:
    stdout, stderr = process.communicate(timeout=120)
    return Done(process.wait(), stdout, stderr, 0)


def wait_for_line(process: Command, beginning: str) -> None:
    while not (line := process.stdout.readline()).startswith(beginning):
        assert line, process.communicate(timeout=30)


def test_a_worker_that_goes_costs_only_what_was_under_way(cluster: Cluster, folder: Path) -> None:
    (folder / "hold").touch()
    process = start(folder, "train", *HELD, "training.batch_size=1,2,3,4", "pruner=median", of(cluster))
    worker, other = wait_for_trials(folder, 2, [process])
    actor_of(worker).kill()
    assert not psutil.wait_procs([worker], timeout=30)[1] and other.is_running()
    (folder / "hold").unlink()
    done = end_of(process)
    assert done.code == 0, done
    assert "is trained again: its worker on the cluster has ended: " in done.stdout
    assert "finished: all 4 trials are done" in done.stdout
    (lost,) = [run for run in runs(folder) if run.tags["state"] == "cancelled"]
    assert lost.tags["reason"].startswith("its worker on the cluster has ended: ")
    assert states(folder) == once("1234") + Counter([(lost.tags["batch_size"], "cancelled")])
    trained = [run for run in runs(folder) if run is not lost and "gpus" in run.tags]
    assert {(run.tags["threads"], run.tags["gpus"]) for run in trained} == {("1", "-1")}


def test_data_and_code_reach_nodes_that_lack_them(cluster: Cluster, folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1)).astype(np.uint8)
    np.savez(folder / "images.npz", x=images, y=np.arange(60) % 2)
    sweep = (*SHIPPED, "training.batch_size=1,2,3,4,5,6", "data=npz", "data.path=images.npz", of(cluster))
    brought = "hydra.launcher.runtime_env={working_dir: ., excludes: [images.npz], env_vars: {NUMBER: 1}}"
    done = call(folder, "train", *sweep, brought, "trial.cpus=0.5", "trial.gpus=0.5")
    assert done.code == 0, done
    assert states(folder) == once("123456")
    found = runs(folder)
    for run in found:
        # One copy a node, which its two workers share; the network's code is Ray's copy of the project.
        (copy,) = Path(run.tags["cache"]).glob("kerasweep/shipped/*/train_images.npy")
        assert run.tags["file"] == str(copy) and not run.tags["code"].startswith(str(folder))
        assert (run.tags["gpus"], run.tags["number"]) == ("0", "1")  # half of its node's only GPU
    assert {run.tags["images"] for run in found} == {str(np.load(copy).sum())}
    notes = [file.read_text() for file in folder.rglob("artifacts/notes/notes.txt")]
    assert notes == ["kept"] * 6 and not list(folder.rglob(".outbox/*"))


def test_a_study_with_nuisance_axes_sends_its_data_once(cluster: Cluster, folder: Path) -> None:
    nuisance = "+study.nuisance={optimizer.learning_rate: 'choice(0.1, 0.2)'}"
    sweep = (*SHIPPED, "training.batch_size=1,2", nuisance, "workers=1", of(cluster))
    done = call(
        folder, "train", *sweep, "data=custom", "data.target=work:images", CALLS=str(folder / "calls")
    )
    assert done.code == 0, done
    assert (folder / "calls").read_text() == "called, "  # by the driver
    found = [*runs(folder), *runs(folder, kind="tuning")]
    kinds = Counter((run.tags["kind"], run.tags["state"]) for run in found)
    assert kinds == {("tuning", "complete"): 4, ("trial", "complete"): 2}


def test_two_drivers_share_a_cluster(cluster: Cluster, folder: Path) -> None:
    (folder / "hold").touch()
    sweep = (*HELD, "training.batch_size=1,2,3,4,5,6", "workers=1", of(cluster))
    drivers = [start(folder, "train", *sweep) for _ in range(2)]
    first, second = wait_for_trials(folder, 2, drivers)
    assert actor_of(first) != actor_of(second)
    (folder / "hold").unlink()
    for done in map(end_of, drivers):
        assert done.code == 0 and "finished: all 6 trials are done" in done.stdout, done
    assert states(folder) == once("123456")


def test_interrupts_leave_nothing_behind(cluster: Cluster, folder: Path) -> None:
    sweep = (*HELD, "training.batch_size=1,2,3", "workers=1", of(cluster))
    for is_twice in (False, True):
        (folder / "hold").touch()
        process = start(folder, "train", *sweep)
        (worker,) = wait_for_trials(folder, 1, [process])
        actor = actor_of(worker)
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "stopping: the trials under way are trained to their end")
        if is_twice:
            process.send_signal(signal.SIGINT)
        else:
            (folder / "hold").unlink()
        done = end_of(process)
        assert (done.code, done.stderr) == (130, "stopped\n")
        assert not psutil.wait_procs([worker, actor], timeout=30)[1]
        (folder / f"begun-{worker.pid}").unlink()
    assert states(folder) == {("1", "complete"): 1, ("2", "cancelled"): 1}


def test_after_the_end_of_the_head_the_same_command_goes_on(cluster: Cluster, folder: Path) -> None:
    (folder / "hold").touch()
    sweep = (*HELD, "training.batch_size=1,2,3", "workers=1")
    process = start(folder, "train", *sweep, RAY_gcs_rpc_server_reconnect_timeout_s="3")  # starts a cluster
    (worker,) = wait_for_trials(folder, 1, [process])
    driver = psutil.Process(process.pid)
    (head,) = [child for child in driver.children(recursive=True) if child.name() == "gcs_server"]
    head.kill()
    done = end_of(process)
    assert done.code != 0
    assert not psutil.wait_procs([worker], timeout=30)[1]
    (folder / "hold").unlink()
    done = call(folder, "train", *sweep, of(cluster))
    assert done.code == 0 and "finished: all 3 trials are done" in done.stdout, done
    assert states(folder) == once("123") + Counter([("1", "cancelled")])


def test_no_cluster_at_the_address_is_a_sentence(folder: Path) -> None:
    done = call(folder, "train", *HELD, "training.batch_size=1,2", "hydra.launcher.address=127.0.0.1:1")
    assert done.code == 2 and done.stderr.startswith("error: Ray cannot be used: ")
    assert not runs(folder)
