"""The data of a sweep is digested, and a later start with other data is refused, whatever is swept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

from kerasweep.data import prepare
from kerasweep.errors import DataError
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.sweep_data import MAX_SOURCES

pytestmark = pytest.mark.usefixtures("folder")


def write_archive(path: Path, level: int = 0, parts: tuple[str, ...] = ("train", "test")) -> str:
    """Writes 30 images of three classes for each part, and returns the override that names the file.

    As a new process, this one has read none then.
    """
    prepare.forget_data()
    images, labels = np.full((30, 8, 8), level, np.uint8), np.arange(30) % 3
    arrays = {f"{axis}_{part}": array for part in parts for axis, array in (("x", images), ("y", labels))}
    np.savez(path, **arrays)
    return f"data.path={path}"


@pytest.mark.parametrize(
    "axis",
    [
        "model.kernel_size=3,5",
        "data.scaling=none,min_max",
        "data.limit=9,12",
        "data.split_seed=1,2",
        "data.seed=1,2",
        "data.validation_split=0.3,0.5",
    ],
)
@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_changed_data_are_noticed_whatever_is_swept(
    axis: str, sampler: str, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    command = (axis, f"sampler={sampler}", "data=npz", write_archive(tmp_path / "a.npz"))
    sweep = plan(*command).open_sweep(fresh=False)
    assert len(sweep.data_digests) == 1
    sweep.study.ask()
    assert plan(*command).open_sweep(fresh=False).data_digests == sweep.data_digests
    write_archive(tmp_path / "a.npz", level=7)
    with pytest.raises(DataError, match="^The data of .* has changed since it began: its digest was "):
        plan(*command).open_sweep(fresh=False)
    assert plan(*command).open_sweep(fresh=True).data_digests != sweep.data_digests


def test_each_of_several_data_sets_is_digested(plan: Callable[..., Plan], tmp_path: Path) -> None:
    for level, name in enumerate("ab"):
        write_archive(tmp_path / f"{name}.npz", level)
    command = (
        "data=npz",
        f"data.path={tmp_path}/a.npz,{tmp_path}/b.npz,{tmp_path}/missing.npz",
        "model.kernel_size=3,5",
    )
    made = plan(*command)
    sweep = made.open_sweep(fresh=False)
    assert len(set(sweep.data_digests.values())) == 2 and made.data.shared is None
    assert [cfg.path for cfg in made.data.configs] == [f"{tmp_path}/{name}.npz" for name in "ab"]
    sweep.study.ask()
    write_archive(tmp_path / "b.npz", level=7)
    with pytest.raises(DataError, match="has changed since it began"):
        plan(*command).open_sweep(fresh=False)


@pytest.mark.parametrize("key", ["image_column", "label_column", "split_column"])
def test_each_of_several_columns_of_a_table_is_digested(
    key: str, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    for name in "abcdefgh":
        Image.new("L", (8, 8), ord(name)).save(tmp_path / f"{name}.png")
    images = [f"{name}.png" for name in "abcdefgh"]
    rows = {
        **{"path": images, "image_column": images[::-1]},
        **{"label": ["x", "y"] * 4, "label_column": ["x"] * 4 + ["y"] * 4},
        **{"split": ["train", "train", "test", "test"] * 2, "split_column": ["train"] * 6 + ["test"] * 2},
    }
    pandas.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    usual = key.removesuffix("_column").replace("image", "path")
    made = plan("data=table", "data.path=labels.csv", f"data.{key}={usual},{key}", "model.filters=[4]")
    assert len(set(made.data.digests.values())) == 2


@pytest.mark.parametrize("axis", ["model.kernel_size=3,5", "data.scaling=none,min_max"])
def test_own_validation_images_are_known_whatever_is_swept(
    axis: str, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    own = write_archive(tmp_path / "own.npz", parts=("train", "val", "test"))
    assert plan(axis, "data=npz", own).data.has_own_validation
    assert not plan(axis, "data=npz", write_archive(tmp_path / "a.npz")).data.has_own_validation


def test_the_same_images_may_lie_elsewhere(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("model.kernel_size=3,5", "data=npz", "data.path=${oc.env:PLACE}")
    for name, level in (("a", 0), ("b", 0), ("c", 7)):
        write_archive(tmp_path / f"{name}.npz", level)
    monkeypatch.setenv("PLACE", str(tmp_path / "a.npz"))
    sweep = plan(*command).open_sweep(fresh=False)
    sweep.study.ask()
    monkeypatch.setenv("PLACE", str(tmp_path / "b.npz"))
    assert plan(*command).open_sweep(fresh=False).name == sweep.name
    monkeypatch.setenv("PLACE", str(tmp_path / "c.npz"))
    with pytest.raises(DataError, match="has changed since it began"):
        plan(*command).open_sweep(fresh=False)


def test_trials_get_the_data_of_the_driver_that_saved_its_digest(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    """Two drivers may start at once, before either has a trial; one of them then ends."""
    command = ("model.kernel_size=3,5", "data=npz", write_archive(tmp_path / "a.npz"))
    first = plan(*command).open_sweep(fresh=False)
    (source,) = first.data_digests
    assert first.digest_of(source) == first.data_digests[source]
    write_archive(tmp_path / "a.npz", level=7)
    second = plan(*command).open_sweep(fresh=False)
    assert first.digest_of(source) == second.digest_of(source) == second.data_digests[source]
    assert first.digest_of("another") is None


def test_many_data_sets_are_not_read_before_the_first_trial(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    paths = ",".join(str(tmp_path / f"{number}.npz") for number in range(MAX_SOURCES + 1))
    write_archive(tmp_path / "0.npz")
    made = plan("sampler=random", "data=npz", f"data.path={paths}", "model.dropout=interval(0.0,0.5)")
    assert made.data.digests == {} and made.open_sweep(fresh=False).digest_of("any") is None
