"""Runs a search for so many minutes, a whole process in a folder of its own, and reads its epochs."""

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
    """command: for a seed. ends: whether it knows its time; else it is ended then.

    epochs: reads them from its folder, given when its process began, in seconds since 1970.
    """

    name: str
    command: Callable[[int], list[str]]
    ends: bool
    epochs: Callable[[Path, float], list[Epoch]]


def searched(search: Search, seed: int, minutes: float) -> list[Epoch]:
    """Search for so long, and keep the epochs that ended in time, as they came. Raises where it fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.time()
        _run(search.command(seed), folder, None if search.ends else 60 * minutes)
        in_time = [epoch for epoch in search.epochs(folder, began) if epoch.seconds <= 60 * minutes]
    return sorted(in_time, key=lambda epoch: epoch.seconds)


def _run(command: list[str], folder: Path, seconds: float | None) -> None:
    """Until it ends, or is ended after so many seconds."""
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
