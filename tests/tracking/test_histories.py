"""A metric's values come back in the order of the epochs."""

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.histories import histories
from kerasweep.tracking.writer import Tracker


def test_values_are_in_the_order_of_their_epochs(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id, other = tracker.start("run", {}, {}), tracker.start("other", {}, {})
    for epoch, accuracy in ((2, 0.6), (1, 0.5), (10, 0.9), (3, 0.7)):
        tracker.log_epoch(run_id, epoch, {"val_accuracy": accuracy, "loss": 1.0})
    assert histories(tracking, [run_id, other], "val_accuracy") == {run_id: [0.5, 0.6, 0.7, 0.9], other: []}
    assert histories(tracking, [], "val_accuracy") == {}


def test_an_epoch_that_was_trained_again_counts_as_it_was_last(
    tracking: TrackingConf, tracker: Tracker
) -> None:
    run_id = tracker.start("run", {}, {})
    for moment, accuracy in ((1000, 0.6), (3000, 0.5), (2000, 0.7)):
        tracker.client.log_metric(run_id, "val_accuracy", accuracy, timestamp=moment, step=1)
    assert histories(tracking, [run_id], "val_accuracy") == {run_id: [0.5]}
