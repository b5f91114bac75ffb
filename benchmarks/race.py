"""Runs contenders in turns, each as a whole process in a new folder, and times them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import PYTHONPATH
from benchmarks.results import Results


@dataclass(frozen=True)
class Contender:
    """A command that is timed."""

    name: str
    command: Sequence[str]  # run in an empty folder
    accuracies: Callable[[Path], list[float]]  # reads the accuracy of each trial from that folder


@dataclass
class Times:
    """The times of a contender's processes."""

    seconds: list[float] = field(default_factory=list)  # wall-clock, per repeat
    cpu_seconds: list[float] = field(default_factory=list)  # per repeat
    accuracies: list[float] = field(default_factory=list)  # of the last repeat


def race(contenders: Sequence[Contender], repeats: int, results: Results | None = None) -> dict[str, Times]:
    """Runs every contender once per repeat; each is the first in turn.

    Args:
        contenders: The commands.
        repeats: How often each is run.
        results: Saves the times; holds the times of an earlier start.

    Raises:
        CalledProcessError: A contender failed.
    """
    found = {contender.name: Times() for contender in contenders}
    for repeat in range(repeats):
        shift = repeat % len(contenders)
        for contender in [*contenders[shift:], *contenders[:shift]]:
            key = f"{contender.name}, repeat {repeat + 1}"
            measured = (results.get(key) if results else None) or _measure(contender)
            if results and results.get(key) is None:
                results.add(key, measured)
            seconds, cpu_seconds, accuracies = measured
            times = found[contender.name]
            times.seconds.append(seconds)
            times.cpu_seconds.append(cpu_seconds)
            times.accuracies = accuracies
            print(f"  {repeat + 1}/{repeats} {contender.name}: {seconds:.1f} s", flush=True)
    return found


def _measure(contender: Contender) -> tuple[float, float, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        seconds, cpu_seconds = _run(contender.command, Path(folder))
        return seconds, cpu_seconds, contender.accuracies(Path(folder))


def _run(command: Sequence[str], folder: Path) -> tuple[float, float]:
    timed = [sys.executable, "-m", "benchmarks.family", "times.json", *command]
    with open(folder / "output.txt", "w") as output:
        done = subprocess.run(
            timed, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        print((folder / "output.txt").read_text()[-3000:])
        raise subprocess.CalledProcessError(done.returncode, list(command))
    times = json.loads((folder / "times.json").read_text())
    return times["seconds"], times["cpu_seconds"]


def environment() -> Mapping[str, str]:
    """Returns the activated environment, with this repository, without other databases, saving bytecode."""
    unwanted = ("MLFLOW_", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": PYTHONPATH, "TF_CPP_MIN_LOG_LEVEL": "3"}
