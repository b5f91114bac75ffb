"""A refit trains as long as the seeds found best."""

import pytest

from kerasweep.errors import TrackingError
from kerasweep.handover.refit_epochs import RefitEpochs, mean_best_epochs
from kerasweep.tracking.run_record import RunRecord


def seed(**metrics: float) -> RunRecord:
    return RunRecord("a", "a", "FINISHED", {}, {}, metrics, 0.0, 1.0)


@pytest.mark.parametrize(
    ("epochs", "images", "expected"),
    [
        ([7.0], None, RefitEpochs(7, 10, None, "the best epoch of its run, 7")),
        (
            [7.0, 8.0, 9.5],
            None,
            RefitEpochs(8, 10, None, "the mean of the best epochs of 3 seeds, 8.167, rounded"),
        ),
        ([2.5], None, RefitEpochs(3, 10, None, "the best epoch of its run, 2.5, rounded")),
        ([0.4], None, RefitEpochs(1, 10, None, "the best epoch of its run, 0.4, rounded")),
        (
            [8.0, 8.0],
            (80, 100),
            RefitEpochs(6, 10, 3, "the mean of the best epochs of 2 seeds, 8, scaled from 80 to 100 images"),
        ),
    ],
)
def test_epochs_are_the_mean_of_the_seeds(
    epochs: list[float], images: tuple[int, int] | None, expected: RefitEpochs
) -> None:
    seeds = [seed(cross_fitted_epoch=epoch, best_epoch=99.0) for epoch in epochs]
    assert mean_best_epochs(seeds, 10, images, batch_size=32) == expected


@pytest.mark.parametrize(
    ("best", "images", "count", "unfreeze_at", "note"),
    [
        (6.0, None, 6, 6, ""),
        (5.5, None, 6, 6, ""),
        (5.4, None, 5, None, "it ends before training.unfreeze_at=6, so only the head trains"),
        (6.0, (80, 100), 5, 5, "its backbone trains from epoch 5 on"),
        (10.0, (80, 100), 8, 5, "its backbone trains from epoch 5 on"),
        (6.0, (90, 100), 5, 5, "its backbone trains from epoch 5 on"),
        (6.0, (1, 10), 2, 2, "its backbone trains from epoch 2 on"),
        (3.0, (80, 100), 2, None, "it ends before training.unfreeze_at=6, so only the head trains"),
    ],
)
def test_a_backbone_trains_after_as_many_steps_as_that_of_the_seeds(
    best: float, images: tuple[int, int] | None, count: int, unfreeze_at: int | None, note: str
) -> None:
    epochs = mean_best_epochs([seed(cross_fitted_epoch=best)], 10, images, 32, unfreeze_at=6)
    assert (epochs.count, epochs.unfreeze_at, epochs.note) == (count, unfreeze_at, note)


def test_runs_of_older_versions_have_only_their_best_epoch() -> None:
    assert mean_best_epochs([seed(best_epoch=3.0)], 10, None, 32).count == 3
    assert mean_best_epochs([seed(cross_fitted_epoch=2.0)], 10, None, 32).count == 2
    with pytest.raises(TrackingError, match="^The run a has recorded no best epoch. Set training.epochs.$"):
        mean_best_epochs([seed()], 10, None, 32)
