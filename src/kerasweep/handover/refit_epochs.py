"""Decides how many epochs a refit trains."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import CROSS_FITTED_EPOCH


@dataclass(frozen=True)
class RefitEpochs:
    """How long a refit trains, and why."""

    count: int
    span: int  # the epochs over which the learning rate's schedule is spread
    reason: str  # ends a sentence such as "9 epochs, …"


def seeds_epochs(
    seeds: Sequence[RunRecord], recorded: int, images: int, more_images: int | None
) -> RefitEpochs:
    """Returns the mean of the seeds' cross-fitted best epochs, rounded, at least 1.

    The schedule stays that of the recorded training, so that the last epoch has the learning rate at which
    the seeds were best.

    Args:
        seeds: Runs of the configuration.
        recorded: training.epochs of the recorded training.
        images: How many images the seeds trained on.
        more_images: How many images the refit trains on, to train as many steps as the seeds; None to train
            as many epochs.
    """
    best = [seed.metrics.get(CROSS_FITTED_EPOCH, seed.metrics["best_epoch"]) for seed in seeds]
    mean = fmean(best)
    several = f"the mean of the best epochs of {len(best)} seeds"
    reason = f"{several if len(best) > 1 else 'the best epoch of its run'}, {mean:.4g}"
    if more_images is None:
        rounding = "" if mean == round(mean) else ", rounded"
        return RefitEpochs(max(1, round(mean)), recorded, reason + rounding)
    share = images / more_images
    scaled = f"{reason}, scaled from {images:,} to {more_images:,} images"
    return RefitEpochs(max(1, round(mean * share)), max(1, round(recorded * share)), scaled)
