"""Runs campaigns of faults, and writes docs/reliability.md.

python -m benchmarks.chaos --hours H                                        campaigns on all setups in turn
python -m benchmarks.chaos --seed N --setup journal,workers,database        one campaign again

Each campaign is a line of benchmarks/results/chaos.jsonl. As root, the project lies on a small file system
of its own, which is filled; PostgreSQL must be installed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path

from benchmarks.chaos import campaign
from benchmarks.chaos.page import publish
from benchmarks.chaos.setups import FIRST_SEED_WITH_REPEATS, NETWORK, SETUPS, Setup
from benchmarks.chaos.trial import LOG, UNTRAINED
from benchmarks.race import environment
from benchmarks.results import FOLDER

RESULTS = FOLDER / "chaos.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, help="of a single campaign")
    parser.add_argument("--setup", help="storage,pool,tracking (default: all in turn)")
    arguments = parser.parse_args()
    setups = [Setup(*arguments.setup.split(","))] if arguments.setup else SETUPS
    unknown = [setup.name for setup in setups if setup not in SETUPS]
    if unknown:
        parser.error(
            f"there is no setup {unknown[0]}; the setups are {'; '.join(each.name for each in SETUPS)}"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends what was started, too
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        untrained = save_untrained(Path(folder))
        if arguments.seed is not None:
            for setup in setups:
                print(asdict(campaign.run(setup, arguments.seed, untrained)))
            return
        deadline = time.monotonic() + 3600 * arguments.hours
        for setup, seed in _pairs(setups):
            if time.monotonic() > deadline:
                break
            result = asdict(campaign.run(setup, seed, untrained))
            print(result, flush=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
    publish([json.loads(line) for line in RESULTS.read_text().splitlines()])


def _pairs(setups: "list[Setup] | tuple[Setup, ...]") -> "Iterator[tuple[Setup, int]]":
    """Yields the setups in turn, with seeds that no campaign had yet."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    newest = max((json.loads(line)["seed"] for line in lines), default=0)
    for seed in count(max(newest + 1, FIRST_SEED_WITH_REPEATS)):
        yield setups[seed % len(setups)], seed


def save_untrained(folder: Path) -> Path:
    """Saves the weights of the campaigns' network in a folder; returns their file."""
    file = folder / "untrained.npz"
    target = "trial.target=benchmarks.chaos.trial:save_untrained"
    subprocess.run(
        [sys.executable, "-m", "src.train", "-m", target, *NETWORK, "study.trials=1", "model.kernel_size=3"],
        cwd=folder,
        env={**environment(), UNTRAINED: str(file), LOG: str(folder / "log")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return file


if __name__ == "__main__":
    main()
