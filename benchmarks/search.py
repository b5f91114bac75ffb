"""Runs a search for a given time, as a whole process in a new folder, and reads its epochs."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curve import Epoch
from benchmarks.race import environment


@dataclass(frozen=True)
class Search:
    """A search that is run for a given time."""

    name: str
    command: Callable[[int], list[str]]  # for a seed
    ends: bool  # whether it ends by itself; else it is killed
    # Reads the epochs from its folder, given the start of its process in seconds since 1970.
    epochs: Callable[[Path, float], list[Epoch]]


def searched(search: Search, seed: int, minutes: float) -> list[Epoch]:
    """Runs a search and returns the epochs that ended in time, in their order.

    Raises:
        CalledProcessError: The search failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.time()
        _run(search.command(seed), folder, None if search.ends else 60 * minutes)
        in_time = [epoch for epoch in search.epochs(folder, began) if epoch.seconds <= 60 * minutes]
    return sorted(in_time, key=lambda epoch: epoch.seconds)


def _run(command: list[str], folder: Path, seconds: float | None) -> None:
    """Runs a command until it ends, or kills it after these seconds."""
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
