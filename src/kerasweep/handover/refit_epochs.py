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
    unfreeze_at: int | None = None  # the epoch from which its backbone trains, if it does
    note: str = ""  # on a backbone that trains from another epoch on than the seeds', or not at all


def fixes_epochs(changes: Sequence[str]) -> bool:
    """Whether an override sets the number of epochs."""
    return any(change.lstrip("+").startswith("training.epochs=") for change in changes)


def mean_best_epochs(
    seeds: Sequence[RunRecord],
    recorded: int,
    images: tuple[int, int] | None,
    batch_size: int,
    unfreeze_at: int | None = None,
) -> RefitEpochs:
    """Returns the mean of the seeds' cross-fitted best epochs, rounded, at least 1.

    The schedule stays that of the recorded training, so that the last step has the learning rate at which
    the seeds were best. A backbone that trained in the best epoch trains in the refit, too: at least in its
    last epoch.

    Args:
        seeds: Runs of the configuration.
        recorded: training.epochs of the recorded training.
        images: How many images the seeds trained on, and how many the refit does, to train as many steps as
            the seeds; None to train as many epochs.
        batch_size: Images per step.
        unfreeze_at: training.unfreeze_at of the recorded training.

    Raises:
        TrackingError: A run has no best epoch.
    """
    mean = fmean(map(_best_epoch, seeds))
    several = f"the mean of the best epochs of {len(seeds)} seeds"
    reason = f"{several if len(seeds) > 1 else 'the best epoch of its run'}, {mean:.4g}"
    if images is None:
        share, steps = 1.0, None
        reason += "" if mean == round(mean) else ", rounded"
    else:
        fewer, more = images
        share, steps = fewer / more, math.ceil(fewer / batch_size)
        reason += f", scaled from {fewer:,} to {more:,} images"
    count = _rounded(mean * share)
    if unfreeze_at is None:
        return RefitEpochs(count, recorded, steps, reason)
    if _rounded(mean) < unfreeze_at:
        note = f"it ends before training.unfreeze_at={unfreeze_at}, so only the head trains"
        return RefitEpochs(count, recorded, steps, reason, None, note)
    count = max(2, count)
    scaled = min(_rounded((unfreeze_at - 1) * share), count - 1) + 1
    note = "" if scaled == unfreeze_at else f"its backbone trains from epoch {scaled} on"
    return RefitEpochs(count, recorded, steps, reason, scaled, note)


def _best_epoch(run: RunRecord) -> float:
    """Returns the cross-fitted best epoch; of a run of an older version, the best epoch."""
    for metric in (CROSS_FITTED_EPOCH, "best_epoch"):
        if metric in run.metrics:
            return run.metrics[metric]
    raise TrackingError(f"The run {run.run_id} has recorded no best epoch. Set training.epochs.")


def _rounded(epochs: float) -> int:
    """Returns the nearest number, of two the larger, at least 1."""
    return max(1, math.floor(epochs + 0.5))
