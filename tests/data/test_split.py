"""A split is a partition in which each class keeps its share; a subset keeps the shares too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.data.split import stratified_fold, stratified_half, stratified_split, stratified_subset
from kerasweep.errors import DataError

COUNTS = st.lists(st.integers(2, 40), min_size=1, max_size=6)
SEEDS = st.integers(0, 1000)


def shuffled(counts: list[int]) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(1).permutation(labels)


@settings(max_examples=60, deadline=None)
@given(counts=COUNTS, fraction=st.floats(0.01, 0.99), seed=SEEDS)
def test_split_is_a_partition_with_each_class_in_both_parts(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = shuffled(counts)
    split = stratified_split(labels, fraction, seed)
    together = np.concatenate([split.train, split.validation])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))
    for label, count in enumerate(counts):
        in_validation = int((labels[split.validation] == label).sum())
        assert 1 <= in_validation <= count - 1
        assert abs(in_validation - count * fraction) <= 1


@settings(max_examples=60, deadline=None)
@given(counts=COUNTS, seed=SEEDS)
def test_half_holds_half_of_each_class_and_of_all(counts: list[int], seed: int) -> None:
    labels = shuffled(counts)
    half = stratified_half(labels, seed)
    assert np.array_equal(half, stratified_half(labels, seed))
    assert abs(2 * int(half.sum()) - len(labels)) <= 1
    for label, count in enumerate(counts):
        assert abs(2 * int(half[labels == label].sum()) - count) <= 1


def test_chance_decides_which_classes_give_a_half_their_odd_image() -> None:
    labels = shuffled([3] * 6)
    given = np.array(
        [np.bincount(labels[stratified_half(labels, seed)], minlength=6) - 1 for seed in range(400)]
    )
    assert (given.sum(axis=1) == 3).all()
    assert np.abs(given.mean(axis=0) - 0.5).max() < 0.1  # four standard errors
    older = [np.bincount(labels[stratified_half(labels, seed, draws_odd=False)]) for seed in range(5)]
    assert [counts.tolist() for counts in older] == [[2, 2, 2, 1, 1, 1]] * 5


def test_older_halves_are_those_of_older_versions() -> None:
    """Their sweeps go on with them: the values of their trials must not depend on the version."""
    half = stratified_half(np.arange(9) % 3, seed=7, draws_odd=False)
    assert np.flatnonzero(half).tolist() == [0, 5, 6, 7]


def test_half_is_independent_of_the_split_of_the_same_seed() -> None:
    labels = np.zeros(1000, np.int64)
    split = stratified_split(labels, 0.5, seed=3)
    shared = int(stratified_half(labels, seed=3)[split.validation].sum())
    assert 200 < shared < 300


@settings(max_examples=60, deadline=None)
@given(counts=COUNTS, share=st.floats(0.0, 1.0), seed=SEEDS)
def test_subset_has_its_size_and_each_class_its_share(counts: list[int], share: float, seed: int) -> None:
    labels = shuffled(counts)
    least = 2 * len(counts)
    size = least + int(share * (len(labels) - least))
    chosen = stratified_subset(labels, size, seed)
    assert len(set(chosen.tolist())) == len(chosen) == size
    kept = np.bincount(labels[chosen], minlength=len(counts))
    assert kept.min() >= 2
    exact = np.array(counts) * size / len(labels)
    if exact.min() >= 2:
        assert np.abs(kept - exact).max() < 1


def test_same_seed_gives_the_same_split_on_any_machine() -> None:
    labels = np.arange(20) % 2
    assert stratified_split(labels, 0.2, 7).validation.tolist() == [0, 5, 9, 16]
    assert stratified_subset(labels, 6, 7).tolist() == [0, 5, 9, 14, 16, 17]


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_each_fold_has_the_share_of_each_class(folds: int) -> None:
    labels = np.repeat([0, 1, 2], [50, 13, 8])
    splits = [stratified_fold(labels, folds, fold, seed=4) for fold in range(folds)]
    assert sorted(np.concatenate([split.validation for split in splits]).tolist()) == list(range(71))
    for split in splits:
        counts = np.bincount(labels[split.validation], minlength=3)
        assert np.abs(counts - np.array([50, 13, 8]) / folds).max() < 1
        assert set(split.train) == set(range(71)) - set(split.validation)
    assert stratified_fold(labels, folds, 0, seed=5).validation.tolist() != splits[0].validation.tolist()


def test_refuses_folds_of_a_single_image() -> None:
    with pytest.raises(DataError) as error:
        stratified_fold(np.array([0, 0, 3, 0]), 3, 0, 0)
    assert str(error.value) == (
        "Class 3 has a single image, but data.folds=3 needs two or more of each. Add images, or leave the "
        "class out."
    )


def test_refuses_more_folds_than_images() -> None:
    with pytest.raises(DataError) as error:
        stratified_fold(np.array([0, 0, 1, 1]), 5, 0, 0)
    assert str(error.value) == (
        "data.folds=5 needs 5 images or more, but there are 4. Add images, or lower data.folds."
    )


def test_another_seed_gives_another_split() -> None:
    labels = np.arange(100) % 2
    first, second = (stratified_split(labels, 0.2, seed).validation.tolist() for seed in (0, 1))
    assert first != second


def test_subset_of_a_smaller_set_is_the_whole_set() -> None:
    assert stratified_subset(np.array([1, 0, 1]), 9, 0).tolist() == [0, 1, 2]


def test_refuses_a_class_with_a_single_image() -> None:
    said = "Class 3 has a single image, but a split needs two or more of each. Add images, "
    for key, advice in ((None, "or leave the class out."), ("a.key", "leave the class out, or raise a.key.")):
        with pytest.raises(DataError) as refused:
            stratified_split(np.array([0, 0, 3, 0]), 0.5, 0, key)
        assert str(refused.value) == said + advice


def test_refuses_fewer_images_than_classes() -> None:
    with pytest.raises(DataError, match=r"data.limit=2 cannot hold one image of each of the 3 classes"):
        stratified_subset(np.arange(9) % 3, 2, 0)


def test_rounding_favours_the_largest_remainder() -> None:
    """In a validation part of 4, the shares are 1.75, 1 and 1."""
    labels = np.repeat([0, 1, 2], [7, 4, 4])
    assert np.bincount(labels[stratified_split(labels, 0.25, 0).validation]).tolist() == [2, 1, 1]
