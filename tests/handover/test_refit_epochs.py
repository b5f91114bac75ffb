"""A refit trains as long as the seeds found best."""

import pytest

from kerasweep.handover.refit_epochs import RefitEpochs, seeds_epochs
from kerasweep.tracking.run_record import RunRecord


def seed(**metrics: float) -> RunRecord:
    return RunRecord("a", "a", "FINISHED", {}, {}, metrics, 0.0, 1.0)


@pytest.mark.parametrize(
    ("epochs", "more_images", "expected"),
    [
        ([7.0], None, RefitEpochs(7, 10, "the best epoch of its run, 7")),
        ([7.0, 8.0, 9.5], None, RefitEpochs(8, 10, "the mean of the best epochs of 3 seeds, 8.167, rounded")),
        ([0.4], None, RefitEpochs(1, 10, "the best epoch of its run, 0.4, rounded")),
        (
            [8.0, 8.0],
            100,
            RefitEpochs(6, 8, "the mean of the best epochs of 2 seeds, 8, scaled from 80 to 100 images"),
        ),
    ],
)
def test_epochs_are_the_mean_of_the_seeds(
    epochs: list[float], more_images: int | None, expected: RefitEpochs
) -> None:
    seeds = [seed(cross_fitted_epoch=epoch, best_epoch=99.0) for epoch in epochs]
    assert seeds_epochs(seeds, 10, 80, more_images) == expected


def test_runs_of_older_versions_have_only_their_best_epoch() -> None:
    assert seeds_epochs([seed(best_epoch=3.0)], 10, 80, None).count == 3
