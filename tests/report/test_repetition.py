"""Repeats are told apart by their split where splits differ, else by their seed."""

import pytest

from kerasweep.report.repetition import Repetition, repetition_of
from kerasweep.tracking.run_record import RunRecord


def run(**params: object) -> RunRecord:
    return RunRecord(
        "id",
        "trial",
        "FINISHED",
        {},
        {key.replace("__", "."): str(value) for key, value in params.items()},
        {},
        0,
        0,
    )


def test_seeds_that_share_a_split_are_blocks() -> None:
    runs = [run(training__seed=seed, data__seed=0, data__split_seed="null") for seed in (4, 5)]
    assert repetition_of(runs) == Repetition(has_splits=False, overlap=0.0)
    assert [repetition_of(runs).block(each) for each in runs] == ["4", "5"]
    assert repetition_of([]).block(run()) == "id"


def test_a_split_is_a_block_whatever_its_seeds() -> None:
    runs = [
        run(training__seed=seed, data__seed=0, data__split_seed=split, data__validation_split=0.2)
        for split in (0, 1)
        for seed in (4, 5)
    ]
    found = repetition_of(runs)
    assert found.overlap == pytest.approx(0.25)  # one validation image to four that train
    assert len({found.block(each) for each in runs}) == 2
    assert found.block(runs[0]) == found.block(runs[1])


def test_the_seed_of_the_data_is_the_splits_unless_that_has_its_own() -> None:
    by_data = [run(data__seed=seed, data__split_seed="null") for seed in (0, 1)]
    assert repetition_of(by_data).has_splits
    explicit = [run(data__seed=0, data__split_seed="null"), run(data__seed=0, data__split_seed=0)]
    assert not repetition_of(explicit).has_splits
    # Another test set was set aside, so the images to choose from differ.
    assert repetition_of(
        [run(data__seed=0, data__split_seed=7), run(data__seed=1, data__split_seed=7)]
    ).has_splits


def test_the_largest_overlap_counts() -> None:
    runs = [run(data__seed=seed, data__validation_split=share) for seed, share in ((0, 0.2), (1, 0.5))]
    assert repetition_of(runs).overlap == pytest.approx(1.0)
