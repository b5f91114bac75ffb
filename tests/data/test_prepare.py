"""Limit, split and scaling apply in this order; prepared data is kept for the next trial."""

import importlib
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from kerasweep.config.data import AugmentConf, DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.prepare import MAX_KEPT, check_augment, join_validation, load_prepared, prepare
from kerasweep.data.scaling import fit_scaling
from kerasweep.errors import ConfigError, DataError


def hundred() -> Arrays:
    """Writes 100 images of two classes, each filled with its number, and 40 test images of value 255."""
    images = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 2, 2, 1))
    test = np.full((40, 2, 2, 1), 255, dtype=np.uint8)
    return make_arrays((images, np.arange(100) % 2), (test, np.arange(40) % 2), ["a", "b"], "mine")


def test_validation_comes_from_the_training_set() -> None:
    prepared = prepare(DataConf(source="custom", validation_split=0.25), hundred())
    train, validation = (part.images[:, 0, 0, 0].tolist() for part in (prepared.train, prepared.validation))
    assert sorted(train + validation) == list(range(100))
    assert len(validation) == 25
    assert np.array_equal(prepared.train.labels, np.array(train) % 2)
    assert np.array_equal(prepared.validation.labels, np.array(validation) % 2)
    assert (prepared.test.images == 255).all()
    assert (prepared.input_shape, prepared.num_classes) == ((2, 2, 1), 2)


@pytest.mark.parametrize(("limit", "test_count"), [(20, 20), (60, 40)])
def test_limit_holds_before_the_split_and_for_the_test_set(limit: int, test_count: int) -> None:
    prepared = prepare(DataConf(source="custom", limit=limit), hundred())
    numbers = np.concatenate([prepared.train.images, prepared.validation.images])[:, 0, 0, 0]
    assert len(set(numbers.tolist())) == limit
    assert len(prepared.validation.labels) == limit // 5
    assert len(prepared.test.labels) == test_count


def test_scaling_is_measured_on_the_training_part_alone() -> None:
    lacks_the_brightest = []
    for seed in range(20):
        prepared = prepare(DataConf(source="custom", seed=seed), hundred())
        assert prepared.scaling.apply(prepared.train.images).max() == pytest.approx(1)
        lacks_the_brightest.append(prepared.train.images.max() < 99)
    assert any(lacks_the_brightest)


def test_data_seed_moves_the_split() -> None:
    first, second = (prepare(DataConf(source="custom", seed=seed), hundred()) for seed in (0, 1))
    assert not np.array_equal(first.validation.images, second.validation.images)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "Class ant has a single image, but a split needs two or more of each."),
        ({"folds": 3}, "Class ant has a single image, but data.folds=3 needs two or more of each."),
    ],
)
def test_a_class_with_one_image_is_named(keys: dict[str, int], said: str) -> None:
    arrays = replace(hundred(), train_labels=np.arange(100) // 99, class_names=("bee", "ant"))
    with pytest.raises(DataError, match=f"^{said}"):
        prepare(DataConf(source="custom", **keys), arrays)


@pytest.mark.parametrize("limit", [None, 60])
def test_folds_are_a_partition_of_the_same_images(limit: int | None) -> None:
    """Seeds 3 to 7 give the folds of one division, seeds 8 to 12 those of another."""
    divisions = []
    for first in (3, 8):
        confs = [
            DataConf(source="custom", seed=3, split_seed=seed, folds=5, limit=limit)
            for seed in range(first, first + 5)
        ]
        parts = [prepare(conf, hundred()) for conf in confs]
        folds = [part.validation.images[:, 0, 0, 0].tolist() for part in parts]
        images = sorted(sum(folds, []))
        for part, fold in zip(parts, folds, strict=True):
            assert sorted(part.train.images[:, 0, 0, 0].tolist() + fold) == images
            assert np.bincount(part.validation.labels).tolist() == [len(fold) // 2] * 2
        assert len(set(images)) == len(images) == (limit or 100)
        divisions.append(folds)
    assert divisions[0] != divisions[1]


def test_folds_of_data_with_its_own_validation_are_refused() -> None:
    part = hundred().train_images, hundred().train_labels
    arrays = make_arrays(part, part, ["a", "b"], "mine", part)
    with pytest.raises(DataError) as error:
        prepare(DataConf(source="custom", folds=5), arrays)
    assert str(error.value) == (
        "data.folds=5 divides the training images, but this data comes with its own validation images. Leave "
        "out data.folds and study.folds."
    )


def test_refuses_a_limit_below_two_images_a_class() -> None:
    with pytest.raises(DataError, match="has a single image.* or raise data.limit."):
        prepare(DataConf(source="custom", limit=2), hundred())


def test_advises_to_raise_the_limit_only_if_there_is_one() -> None:
    arrays = replace(hundred(), train_labels=np.r_[1, np.zeros(99, np.int64)])
    with pytest.raises(DataError, match="Add images, or leave the class out.$"):
        prepare(DataConf(source="custom"), arrays)


def test_refuses_padding_as_large_as_the_image() -> None:
    check_augment(AugmentConf(crop_padding=7), (8, 9, 1))
    with pytest.raises(ConfigError, match="must be below the image's 8 pixels, but got 8"):
        check_augment(AugmentConf(crop_padding=8), (8, 9, 1))


@pytest.fixture
def archive(tmp_path: Path) -> DataConf:
    path = tmp_path / "data.npz"
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (60, 4, 4, 1), dtype=np.uint8)
    np.savez(path, x=images, y=np.arange(60) % 3)
    return DataConf(source="npz", path=str(path))


def test_same_configuration_gets_the_same_arrays(archive: DataConf) -> None:
    assert load_prepared(archive) is load_prepared(replace(archive))
    assert load_prepared(replace(archive, seed=5)) is not load_prepared(archive)


def test_oldest_data_is_dropped(archive: DataConf) -> None:
    first = load_prepared(archive)
    for seed in range(1, MAX_KEPT + 1):
        load_prepared(replace(archive, seed=seed))
    again = load_prepared(archive)
    assert again is not first
    assert np.array_equal(again.train.images, first.train.images)


def test_another_split_has_the_same_test_set(archive: DataConf) -> None:
    limited = replace(archive, limit=30)
    one, other = load_prepared(limited), load_prepared(replace(limited, split_seed=1))
    assert np.array_equal(one.test.images, other.test.images)
    assert not np.array_equal(one.validation.images, other.validation.images)
    same, seeded = load_prepared(replace(limited, split_seed=0)), load_prepared(replace(limited, seed=1))
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(one, part).images, getattr(same, part).images)
    assert not np.array_equal(one.test.images, seeded.test.images)
    assert np.array_equal(one.half, same.half) and len(one.half) == len(one.validation)
    assert one.split == same.split != other.split and len(one.split) == 12
    unlimited = [load_prepared(replace(archive, limit=None, seed=seed, split_seed=3)) for seed in (0, 1)]
    assert unlimited[0].split != unlimited[1].split  # this archive has no test set of its own
    # The subset is drawn anew, too: together the splits use more than 30 of the images.
    parts = [part for each in (one, other) for part in (each.train, each.validation)]
    assert len({image.tobytes() for part in parts for image in part.images}) > 30


def test_an_own_validation_part_is_not_resampled(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    parts = {
        name: generator.integers(0, 255, (30, 4, 4, 1), dtype=np.uint8) for name in ("train", "val", "test")
    }
    labels = {f"y_{name}": np.arange(30) % 3 for name in parts}
    np.savez(tmp_path / "data.npz", **{f"x_{name}": part for name, part in parts.items()}, **labels)
    cfg = DataConf(source="npz", path=str(tmp_path / "data.npz"), limit=20)
    one, other = load_prepared(cfg), load_prepared(replace(cfg, split_seed=1))
    assert one.has_own_validation and not load_prepared(DataConf(source="digits")).has_own_validation
    for each in (one, other):
        assert np.array_equal(each.validation.images, parts["val"])
        assert len(each.train) == 20
    assert not np.array_equal(one.train.images, other.train.images)
    assert one.split == other.split != load_prepared(replace(cfg, source="digits", path=None)).split


def test_memory_is_bounded_by_whole_data_sets(archive: DataConf, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 images of 16 bytes and labels of 8 take 1,440 bytes; a feed copies the 12 images of each split."""
    limited = replace(archive, limit=12)
    one, other = replace(limited, split_seed=1), replace(limited, split_seed=2)
    reseeded = replace(limited, seed=1)  # draws another test set, so that the archive is read again
    monkeypatch.setattr("kerasweep.data.prepare.MAX_KEPT_BYTES", 1440 + 2 * 192)
    first, second = load_prepared(one), load_prepared(other)
    assert first.train.source is second.train.source
    assert load_prepared(one) is first and load_prepared(other) is second
    third = load_prepared(reseeded)
    assert load_prepared(reseeded) is third
    assert load_prepared(other) is not second
    monkeypatch.setattr("kerasweep.data.prepare.MAX_KEPT_BYTES", 1)
    alone = load_prepared(one)
    assert load_prepared(one) is alone
    assert load_prepared(other).train.source is alone.train.source
    assert load_prepared(one) is not alone


COUNTING = """
import numpy as np

calls = []

def pairs(count=30):
    calls.append(count)
    images = np.random.default_rng(len(calls)).integers(0, 256, (count, 2, 2), dtype=np.uint8)
    labels = np.arange(count) % 3
    return (images, labels), (images, labels)
"""


def test_a_function_makes_the_data_once_for_all_its_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counted_data_of_test.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    cfg = DataConf(source="custom", target="counted_data_of_test:pairs")
    more = ({"split_seed": 1}, {"seed": 1}, {"limit": 20}, {"scaling": "z_score"}, {"validation_split": 0.5})
    prepared = [load_prepared(cfg), *(load_prepared(replace(cfg, **changes)) for changes in more)]
    assert len({each.digest for each in prepared}) == 1
    load_prepared(replace(cfg, kwargs={"count": 40}))
    assert importlib.import_module("counted_data_of_test").calls == [30, 40]


def test_files_are_decoded_once_for_all_splits_without_a_cache(
    archive: DataConf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    for seed in (None, 1, 2):
        load_prepared(replace(archive, cache_dir=str(tmp_path / "file" / "below"), split_seed=seed))
    assert caplog.text.count("cannot be written") == 1
    assert "damaged" not in caplog.text


def test_unreadable_data_is_not_kept(archive: DataConf, tmp_path: Path) -> None:
    missing = replace(archive, path=str(tmp_path / "later.npz"))
    with pytest.raises(DataError):
        load_prepared(missing)
    Path(archive.path or "").rename(tmp_path / "later.npz")
    assert len(load_prepared(missing).train.labels) > 0


def test_changed_data_are_read_again_for_a_sweep_with_another_digest(archive: DataConf) -> None:
    """Processes of joblib outlive a sweep."""
    before = load_prepared(archive)
    arrays = dict(np.load(archive.path or ""))
    arrays["y"] = arrays["y"][::-1]
    np.savez(archive.path or "", **arrays)
    assert load_prepared(archive, before.digest) is before
    after = load_prepared(archive, "0123456789abcdef")
    assert after.digest != before.digest
    assert load_prepared(archive, after.digest) is after


def test_two_splits_share_the_share_of_the_pool_that_validates() -> None:
    """So the scores of two splits correlate by that share, see report/repetition.py."""
    images = np.zeros((2000, 4, 4, 1), np.uint8)
    labels = np.arange(2000) % 10
    arrays = make_arrays((images, labels), (images[:20], labels[:20]), None, "made")
    splits = [
        prepare(DataConf(source="npz", limit=500, split_seed=seed, validation_split=0.2), arrays)
        for seed in range(20)
    ]
    assert {(each.pool, len(each.validation)) for each in splits} == {(2000, 100)}
    chosen = [set(np.asarray(each.validation.indices).tolist()) for each in splits]
    shared = [len(one & other) for one, other in combinations(chosen, 2)]
    assert np.mean(shared) / 100 == pytest.approx(100 / 2000, abs=0.005)


def test_joined_parts_hold_every_image_once_in_the_order_of_the_source() -> None:
    cfg = DataConf(source="npz", scaling="z_score", validation_split=0.25)
    arrays = hundred()
    apart = prepare(cfg, arrays)
    joined = join_validation(cfg, apart)
    assert (joined.train.images == arrays.train_images).all()
    assert (joined.train.labels == arrays.train_labels).all()
    assert len(joined.validation) == len(joined.half) == 0
    assert joined.test is apart.test
    assert joined.scaling == fit_scaling("z_score", [arrays.train_images]) != apart.scaling


def test_joined_parts_hold_an_own_validation_part() -> None:
    arrays = replace(
        hundred(),
        validation_images=np.full((3, 2, 2, 1), 9, np.uint8),
        validation_labels=np.array([1, 0, 1]),
    )
    cfg = DataConf(source="npz", scaling="none")
    joined = join_validation(cfg, prepare(cfg, arrays))
    assert (joined.train.images[-3:] == 9).all() and joined.train.labels[-3:].tolist() == [1, 0, 1]
    assert (joined.train.images[:-3] == arrays.train_images).all()
