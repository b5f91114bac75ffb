"""Makes the runs of simulated studies, and writes how often something happened in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.calibration.simulations import IMAGES, VALIDATION, VALIDATION_SHARE
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import POOL_IMAGES, VALIDATION_IMAGES

SEEDS = (3, 5, 10)
AXES = {"kernel_size": "model.kernel_size", "batch_size": "training.batch_size"}


def runs_of(
    values: np.ndarray, is_resampled: bool = False, columns: int = 1, pool: int = IMAGES
) -> list[RunRecord]:
    """Returns the runs of a study with two axes, as MLflow would hold them.

    Args:
        values: (arms, repeats).
        is_resampled: Whether each repeat has a split of its own.
        columns: The number of values of the second axis, along which the arms are counted first.
        pool: The number of images of which the splits draw theirs.
    """
    runs = []
    for arm, row in enumerate(values):
        chosen = dict(zip(AXES, map(str, divmod(arm, columns)), strict=True))
        for repeat, value in enumerate(row):
            tags = {
                **{"state": "complete", "kind": "repeat", "dataset": "simulated", **chosen},
                "objective": "val_accuracy maximize",
            }
            params = {
                **{AXES[axis]: text for axis, text in chosen.items()},
                "training.seed": str(repeat),
                "data.seed": "0",
                "data.split_seed": str(repeat) if is_resampled else "null",
                "data.validation_split": str(VALIDATION_SHARE),
            }
            metrics = {
                "objective": float(value),
                VALIDATION_IMAGES: float(VALIDATION),
                POOL_IMAGES: float(pool),
            }
            runs.append(RunRecord(f"{arm}-{repeat}", "", "FINISHED", tags, params, metrics, 0.0, None))
    return runs


@dataclass(frozen=True)
class Rate:
    """How often something happened in simulated studies."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.share * (1 - self.share) / self.of))

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} ± {100 * self.error:.1f}"


def heading(*cells: str) -> list[str]:
    return [row(cells), "| --- " * len(cells) + "|"]


def row(cells: Sequence[object]) -> str:
    line = f"| {' | '.join(map(str, cells))} |"
    print(line, flush=True)
    return line
