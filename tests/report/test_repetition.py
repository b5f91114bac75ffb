"""Repeats are told apart by their split where splits differ, else by their seed."""

from dataclasses import replace

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


def test_folds_share_all_training_images_but_their_own() -> None:
    images = {"validation_images": 2500.0, "pool_images": 50_000.0}
    runs = [replace(run(data__split_seed=seed, data__folds=5), metrics=images) for seed in (0, 1)]
    assert repetition_of(runs).overlap == pytest.approx(1 / 4)


def test_splits_of_a_larger_pool_share_fewer_images() -> None:
    """data.limit draws 12,500 of 50,000 images, of which 2,500 validate: two splits share a twentieth."""
    images = {"validation_images": 2500.0, "pool_images": 50_000.0}
    runs = [replace(run(data__seed=seed, data__validation_split=0.2), metrics=images) for seed in (0, 1)]
    assert repetition_of(runs).overlap == pytest.approx(0.05 / 0.95)
    whole = {"validation_images": 10_000.0, "pool_images": 50_000.0}
    assert repetition_of([replace(each, metrics=whole) for each in runs]).overlap == pytest.approx(0.25)
    older = run(data__seed=2, data__validation_split=0.2)
    assert repetition_of([*runs, older]).overlap == pytest.approx(0.25)  # it may have drawn from all


def trained(seed: int, data_seed: int, split_seed: int, split: str, **more: str) -> RunRecord:
    """Returns a run that recorded its validation images."""
    made = run(training__seed=seed, data__seed=data_seed, data__split_seed=split_seed, **more)
    return replace(made, tags={"split": split, "dataset": more.get("data__source", "npz")})


def test_a_split_counts_once_whatever_seeds_drew_it() -> None:
    """The test set of this data is its own, so data.seed decides nothing."""
    runs = [trained(repeat, seed, repeat, f"split {repeat}") for seed in (0, 1, 2) for repeat in (0, 1)]
    found = repetition_of(runs)
    assert found.has_splits
    assert [found.block(each) for each in runs] == ["0 0", "0 1"] * 3
    failed = replace(runs[-1], tags={})
    assert found.block(failed) == "0 1"


@pytest.mark.parametrize("swept", ["data__seed", "data__split_seed", "data__path"])
def test_an_own_validation_part_is_never_resampled(swept: str) -> None:
    """With two archives, as with one, all seeds validate on the same images."""
    runs = [
        trained(
            repeat,
            value if swept == "data__seed" else 0,
            value if swept == "data__split_seed" else repeat,
            f"archive {value}" if swept == "data__path" else "archive",
            data__path=str(value if swept == "data__path" else 0),
        )
        for value in (0, 1)
        for repeat in (0, 1, 2)
    ]
    for each in (runs, [replace(one, params={**one.params, "data.path": "x"}) for one in runs]):
        found = repetition_of(each)
        assert not found.has_splits and found.overlap == 0
        assert [found.block(one) for one in each] == ["0", "1", "2"] * 2


def test_arms_with_other_images_share_their_blocks() -> None:
    runs = [
        trained(repeat, 0, repeat, f"{repeat} of {limit}", data__limit=str(limit))
        for limit in (500, 2000)
        for repeat in (0, 1, 2)
    ]
    found = repetition_of(runs)
    assert found.has_splits
    assert [found.block(each) for each in runs] == ["0 0", "0 1", "0 2"] * 2


def test_data_with_splits_beside_data_with_an_own_part_counts_as_resampled() -> None:
    runs = [
        trained(repeat, 0, repeat, split, data__source=source)
        for source in ("own", "split")
        for repeat in (0, 1, 2)
        for split in ("own" if source == "own" else f"split {repeat}",)
    ]
    found = repetition_of(runs)
    assert found.has_splits
    assert [found.block(each) for each in runs] == ["0 0", "0 1", "0 2"] * 2


def test_runs_of_older_versions_have_the_splits_that_their_seeds_drew() -> None:
    newer = [trained(repeat, 0, repeat, f"split {repeat}") for repeat in (0, 1)]
    older = [replace(each, tags={"dataset": "npz"}) for each in newer]
    mixed = repetition_of([newer[0], older[1]])
    assert mixed.has_splits
    assert [mixed.block(each) for each in newer] == [mixed.block(each) for each in older]
