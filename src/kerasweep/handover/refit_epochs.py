"""Decides how many epochs a refit trains."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from kerasweep.errors import TrackingError
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import CROSS_FITTED_EPOCH


@dataclass(frozen=True)
class RefitEpochs:
    """How long a refit trains, and why."""

    count: int
    span: int  # the epochs over which the learning rate's schedule is spread
    steps_per_epoch: int | None  # of the schedule; None for the refit's own
    reason: str  # ends a sentence such as "9 epochs, …"


def fixes_epochs(changes: Sequence[str]) -> bool:
    """Whether an override sets the number of epochs."""
    return any(change.lstrip("+").startswith("training.epochs=") for change in changes)


def mean_best_epochs(
    seeds: Sequence[RunRecord], recorded: int, images: tuple[int, int] | None, batch_size: int
) -> RefitEpochs:
    """Returns the mean of the seeds' cross-fitted best epochs, rounded, at least 1.

    The schedule stays that of the recorded training, so that the last step has the learning rate at which
    the seeds were best.

    Args:
        seeds: Runs of the configuration.
        recorded: training.epochs of the recorded training.
        images: How many images the seeds trained on, and how many the refit does, to train as many steps as
            the seeds; None to train as many epochs.
        batch_size: Images per step.

    Raises:
        TrackingError: A run has no best epoch.
    """
    mean = fmean(map(_best_epoch, seeds))
    several = f"the mean of the best epochs of {len(seeds)} seeds"
    reason = f"{several if len(seeds) > 1 else 'the best epoch of its run'}, {mean:.4g}"
    if images is None:
        rounding = "" if mean == round(mean) else ", rounded"
        return RefitEpochs(_rounded(mean), recorded, None, reason + rounding)
    fewer, more = images
    reason = f"{reason}, scaled from {fewer:,} to {more:,} images"
    return RefitEpochs(_rounded(mean * fewer / more), recorded, math.ceil(fewer / batch_size), reason)


def _best_epoch(run: RunRecord) -> float:
    """Returns the cross-fitted best epoch; of a run of an older version, the best epoch."""
    for metric in (CROSS_FITTED_EPOCH, "best_epoch"):
        if metric in run.metrics:
            return run.metrics[metric]
    raise TrackingError(f"The run {run.run_id} has recorded no best epoch. Set training.epochs.")


def _rounded(epochs: float) -> int:
    """Returns the nearest number, of two the larger, at least 1."""
    return max(1, math.floor(epochs + 0.5))
