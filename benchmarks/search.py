"""Runs a search for a given time, as a whole process in a new folder, and tests the model it hands over."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.race import environment
from benchmarks.scores import Score


@dataclass(frozen=True)
class Search:
    """A search that is run for a given time."""

    name: str
    command: Callable[[int], list[str]]  # for a seed
    ends: bool  # whether it ends by itself; else it is killed
    # Returns test accuracy, configurations and epochs of the seed's search in this folder.
    result: Callable[[Path, int], tuple[float, int, int]]


def searched(search: Search, seed: int, minutes: float) -> Score:
    """Runs a search and returns its score.

    Raises:
        CalledProcessError: The search failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        run_in(folder, search.command(seed), None if search.ends else 60 * minutes)
        seconds = time.perf_counter() - began
        return Score(*search.result(folder, seed), seconds)


def run_in(folder: Path, command: list[str], seconds: float | None) -> None:
    """Runs a command in a folder until it ends, or kills it after these seconds.

    Raises:
        CalledProcessError: It failed.
    """
    with open(folder / "output.txt", "w") as output:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return
    if done.returncode:
        print((folder / "output.txt").read_text()[-3000:])
        raise subprocess.CalledProcessError(done.returncode, command)
