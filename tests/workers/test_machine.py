"""Cores, memory and GPUs give the number of workers and the share of each."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from kerasweep.workers import machine as cores
from kerasweep.workers.machine import count_gpus, free_memory_mb, usable_cores, worker_count, worker_variables

PLENTY = 1e6


@pytest.mark.parametrize(
    ("wanted", "trials", "gpus", "usable", "free_mb", "count"),
    [
        ("auto", 100, 0, 8, PLENTY, 8),
        ("auto", 24, 0, 2, PLENTY, 2),
        ("auto", 2, 0, 2, PLENTY, 1),
        ("auto", 4, 0, 2, PLENTY, 2),
        ("auto", 9, 0, 16, PLENTY, 5),
        ("auto", 100, 0, 16, 4 * cores.WORKER_MB + 1, 4),
        ("auto", 100, 0, 16, 10.0, 1),
        ("auto", 100, 4, 16, PLENTY, 4),
        ("auto", 3, 4, 16, PLENTY, 3),
        (3, 100, 0, 2, PLENTY, 3),
        (64, 5, 0, 2, PLENTY, 5),
        (2, 100, 8, 16, 10.0, 2),
    ],
)
def test_worker_count(
    wanted: int | str, trials: int, gpus: int, usable: int, free_mb: float, count: int
) -> None:
    assert worker_count(wanted, trials, gpus, usable, free_mb) == count


def test_cores_are_shared_as_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    variables = worker_variables(3, 0, 8)(0)
    assert set(variables.values()) == {"2"} and "CUDA_VISIBLE_DEVICES" not in variables
    assert set(worker_variables(4, 0, 2)(3).values()) == {"1"}
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    assert worker_variables(3, 0, 8)(0)["TF_NUM_INTRAOP_THREADS"] == "7"


@pytest.mark.parametrize(
    ("visible", "gpus", "devices"),
    [(None, 2, ["0", "1", "0"]), ("5,3", 2, ["5", "3", "5"]), ("GPU-a", 1, ["GPU-a"] * 3)],
)
def test_each_worker_sees_one_gpu(
    visible: str | None, gpus: int, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    of = worker_variables(3, gpus, 8)
    assert [of(worker)["CUDA_VISIBLE_DEVICES"] for worker in range(3)] == devices


def test_quota_of_a_container_limits_the_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(cores, "CGROUP_QUOTA", quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)))
    counts = []
    for text in ("max 100000", "200000 100000", "50000 100000", "nonsense", "3200000 100000"):
        quota.write_text(text)
        counts.append(usable_cores())
    assert counts == [16, 2, 1, 16, 16]
    quota.unlink()
    assert usable_cores() == 16


@pytest.mark.parametrize(
    ("variables", "usable", "free_mb"),
    [
        ({}, 16, 64_000),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_NODE": "8192"}, 4, 8192),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_CPU": "2000"}, 4, 8000),
        ({"SLURM_CPUS_ON_NODE": "64", "SLURM_MEM_PER_CPU": "2000"}, 16, 64_000),
        ({"SLURM_CPUS_ON_NODE": "", "SLURM_MEM_PER_NODE": "0"}, 16, 64_000),  # 0: all of the node's
    ],
)
def test_a_job_of_slurm_has_its_cores_and_memory(
    variables: dict[str, str], usable: int, free_mb: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Many clusters bind no job to its cores: the machine shows all of them."""
    monkeypatch.setattr(cores, "CGROUP_QUOTA", tmp_path / "missing")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)))
    available = SimpleNamespace(available=64_000 * 2**20)
    monkeypatch.setattr("psutil.virtual_memory", lambda: available)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (usable_cores(), free_memory_mb()) == (usable, free_mb)


def test_without_a_device_file_no_process_counts_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "GPU_FILES", ("/nonexistent/nvidia0",))
    monkeypatch.setattr("subprocess.run", lambda *given, **options: pytest.fail("asked"))
    assert count_gpus() == 0


def test_tensorflow_counts_gpus_if_there_is_a_device_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cores, "GPU_FILES", (str(tmp_path),))
    asked = f"open({str(tmp_path / 'asked')!r}, 'a').write('x'); print('banner'); print(3)"
    monkeypatch.setattr(cores, "COUNT_GPUS", asked)
    assert count_gpus() == count_gpus() == 3
    assert (tmp_path / "asked").read_text() == "x"


def test_failed_count_of_gpus_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cores, "GPU_FILES", (str(tmp_path),))
    monkeypatch.setattr(cores, "COUNT_GPUS", "import sys; sys.exit('banner\\nno [CUDA] library')")
    assert count_gpus() == count_gpus() == 0
    assert capsys.readouterr().out == (
        "TensorFlow could not count the GPUs, so no trial uses one: no [CUDA] library\n"
    )
