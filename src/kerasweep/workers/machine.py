"""How many workers a machine carries, and what each of them gets of it: threads, or a GPU."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

WORKER_MB = 1200
TRIALS_PER_WORKER = 2
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
GPU_FILES = ("/dev/nvidia0", "/dev/kfd")
COUNT_GPUS = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


def usable_cores() -> int:
    """How many cores this process may use: by affinity, and by the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(CGROUP_QUOTA)
    return max(1, min(cores, round(quota))) if quota else cores


def _quota(file: Path) -> float | None:
    """The cores that a cgroup grants, None where there is no limit."""
    try:
        limit, period = file.read_text().split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) / int(period)


def count_gpus() -> int:
    """How many GPUs TensorFlow reports. It is asked in a process of its own, and only where one may be."""
    return _reported_number(COUNT_GPUS) if any(map(os.path.exists, GPU_FILES)) else 0


@cache
def _reported_number(program: str) -> int:
    """The last word that a program prints, 0 where that is no number. It takes seconds: it is run once."""
    asked = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    ).stdout.split()
    return int(asked[-1]) if asked and asked[-1].isdigit() else 0


def worker_count(wanted: int | str, trials: int, gpus: int, cores: int, free_mb: float) -> int:
    """How many workers to start for so many trials.

    wanted: a number, or `auto`: one a GPU; without any, one a core, each with a single thread, as
    far as memory goes (WORKER_MB each) and there is work for them: a worker that trains fewer than
    TRIALS_PER_WORKER small trials costs more than it brings, since TensorFlow takes seconds to start.
    """
    if wanted != "auto":
        return max(1, min(int(wanted), trials))
    if gpus:
        return max(1, min(gpus, trials))
    by_memory = int(free_mb // WORKER_MB)
    by_work = -(-trials // TRIALS_PER_WORKER)
    return max(1, min(cores, by_memory, by_work))


def free_memory_mb() -> float:
    """Memory that new processes can have, in MiB."""
    return psutil.virtual_memory().available / 2**20


def worker_variables(count: int, gpus: int, cores: int) -> Callable[[int], dict[str, str]]:
    """The environment of each worker: its GPU, or its share of the cores as threads.

    What is set already stays: who sets TF_NUM_INTRAOP_THREADS knows why.
    """
    threads = str(max(1, cores // count))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(index) for index in range(gpus)]

    def variables(worker: int) -> dict[str, str]:
        chosen = {name: os.environ.get(name, threads) for name in names}
        if gpus:
            chosen["CUDA_VISIBLE_DEVICES"] = devices[worker % len(devices)]
        return chosen

    return variables
