"""Runs a command in a folder, and notes the processor time and the memory of its main process meanwhile."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.race import environment

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Watched:
    """A command that has ended."""

    seconds: float  # from its start to its exit
    cpu_seconds: float  # of all its processes
    moments: list[float]  # in seconds since 1970
    cpu: list[float]  # seconds of processor time that the main process had used at each moment
    rss_mb: list[float]  # of the main process at each moment

    def cpu_at(self, moment: float) -> float:
        """Returns the CPU-seconds that the main process had used."""
        return float(np.interp(moment, self.moments, self.cpu))

    def rss_at(self, moment: float) -> float:
        """Returns the memory of the main process in MB."""
        return float(np.interp(moment, self.moments, self.rss_mb))


def watch(folder: Path, command: Sequence[str], variables: Mapping[str, str]) -> Watched:
    """Runs a command to its end.

    Raises:
        CalledProcessError: It failed.
    """
    timed = [sys.executable, "-m", "benchmarks.family", "times.json", *command]
    moments, cpu, rss = [], [], []
    with open(folder / "output.txt", "a") as output:
        process = subprocess.Popen(
            timed, cwd=folder, env={**environment(), **variables}, stdout=output, stderr=subprocess.STDOUT
        )
        family, main = psutil.Process(process.pid), None
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                main = main or next(iter(family.children()), None)
                if main is not None:
                    used, memory = main.cpu_times(), main.memory_info()
                    moments.append(time.time())
                    cpu.append(used.user + used.system)
                    rss.append(memory.rss / 2**20)
            time.sleep(POLL_SECONDS)
    if process.returncode:
        print((folder / "output.txt").read_text()[-3000:])
        raise subprocess.CalledProcessError(process.returncode, list(command))
    times = json.loads((folder / "times.json").read_text())
    return Watched(times["seconds"], times["cpu_seconds"], moments, cpu, rss)
