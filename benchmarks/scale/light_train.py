"""Starts src.train with light workers in place of processes.

python -m benchmarks.scale.light_train -m …      as src.train
"""

from typing import Any

from benchmarks.scale.light_pool import LightPool
from kerasweep.commands.start import train
from kerasweep.multirun import open_sweeps


def start_workers(context: Any, master: Any, cfg: Any, trainings: int) -> LightPool:
    return LightPool(min(int(cfg.workers), trainings))


if __name__ == "__main__":
    open_sweeps.start_workers = start_workers  # type: ignore[assignment]
    train()
