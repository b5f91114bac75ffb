"""Measures a worker's memory after 20 and after 200 trainings of six architectures."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.page import machine, publish
from benchmarks.sweeps import sweep, trained

EARLY = 20
SPACE = (
    "model.kernel_size=3,5",
    "model.filters=[8],[8,16],[16,16]",
    "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))",
)
COMMON = ("sampler=random", "workers=1", "training.epochs=1", "data.limit=500")


def run(trials: int = 200) -> None:
    """Sweeps with one worker, and publishes its resident memory after both numbers of trials."""
    with tempfile.TemporaryDirectory() as folder:
        ended = sweep(Path(folder), f"study.trials={trials}", *COMMON, *SPACE)
        runs = trained(Path(folder))
    moments, held = zip(*ended.worker_rss_mb, strict=True)
    early, late = (
        float(np.interp(runs[min(number, len(runs)) - 1].end, moments, held)) for number in (EARLY, len(runs))
    )
    sentence = f"after {EARLY} trials {early:.0f} MB, after {len(runs)} {late:.0f} MB: {late / early:.3f} ×"
    publish(
        "memory",
        "## Memory\n\nOne worker, six architectures in random order, each trained with about "
        f"{trials // 6} learning rates: resident memory {sentence}.\n\n{machine()}.\n",
    )
    print(sentence)
