"""Computes how many workers a machine can run, and the threads or the GPU of each."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

from kerasweep.terminal import say
from kerasweep.training.numerics import THREAD_VARIABLES, count_cores

WORKER_MB = 1200  # memory of a worker that trains a small network
TRAININGS_PER_WORKER = 2  # with fewer, the seconds of TensorFlow's start cost more than a worker brings
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
GPU_FILES = ("/dev/nvidia0", "/dev/kfd")
COUNT_GPUS = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


def usable_cores() -> int:
    """Returns how many cores this process may use: by its affinity, its container's quota, its job of SLURM.

    SLURM binds a job to its cores on some clusters only.
    """
    limits = [limit for limit in (_quota(CGROUP_QUOTA), _of_slurm("SLURM_CPUS_ON_NODE")) if limit]
    return max(1, min([count_cores(), *map(round, limits)]))


def _of_slurm(variable: str) -> int:
    """Returns a number that SLURM tells its jobs, 0 if there is none."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else 0


def _quota(file: Path) -> float | None:
    """Returns how many cores a cgroup grants, None without a limit."""
    try:
        limit, period = file.read_text().split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) / int(period)


def count_gpus() -> int:
    """Returns how many GPUs TensorFlow finds. A separate process asks it, if there is a GPU's device file."""
    return _reported_number(COUNT_GPUS) if any(map(os.path.exists, GPU_FILES)) else 0


@cache
def _reported_number(program: str) -> int:
    """Returns the number that a program prints last, 0 if it is none. It takes seconds, so it runs once."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    printed = done.stdout.split()
    if printed and printed[-1].isdigit():
        return int(printed[-1])
    *_, reason = ["no message", *done.stderr.strip().splitlines()]
    say(f"TensorFlow could not count the GPUs, so no trial uses one: {reason}")
    return 0


def worker_count(wanted: int | str, trainings: int, gpus: int, cores: int, free_mb: float) -> int:
    """Returns how many workers to start.

    Args:
        wanted: A number, or `auto`: one per GPU; without GPUs one per core, each with a single thread, as far
            as memory (WORKER_MB each) and work (TRAININGS_PER_WORKER each) allow.
        trainings: How many there are, a training per trial and seed.
        gpus: See `count_gpus`.
        cores: See `usable_cores`.
        free_mb: See `free_memory_mb`.
    """
    if wanted != "auto":
        return max(1, min(int(wanted), trainings))
    if gpus:
        return max(1, min(gpus, trainings))
    by_memory = int(free_mb // WORKER_MB)
    by_work = -(-trainings // TRAININGS_PER_WORKER)
    return max(1, min(cores, by_memory, by_work))


def free_memory_mb() -> float:
    """Returns the memory that new processes can have, in MiB: of the machine, or of the job of SLURM."""
    free = psutil.virtual_memory().available / 2**20
    per_cpu = _of_slurm("SLURM_MEM_PER_CPU") * _of_slurm("SLURM_CPUS_ON_NODE")
    limits = (_of_slurm("SLURM_MEM_PER_NODE"), per_cpu)
    return min([free, *(limit for limit in limits if limit)])


def worker_variables(count: int, gpus: int, cores: int) -> Callable[[int], dict[str, str]]:
    """Returns a function that gives worker k's variables: its GPU, and its share of the cores as threads.

    Variables that the user has set stay, such as TF_NUM_INTRAOP_THREADS.
    """
    threads = str(max(1, cores // count))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(index) for index in range(gpus)]

    def variables(worker: int) -> dict[str, str]:
        chosen = {name: os.environ.get(name, threads) for name in THREAD_VARIABLES}
        if gpus:
            chosen["CUDA_VISIBLE_DEVICES"] = devices[worker % len(devices)]
        return chosen

    return variables
