"""Every mistake of a user ends with one clear sentence, the right exit code, and nothing half-written."""

import gzip
import pickle
import socket
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import Done, run

CLOSED = "http://127.0.0.1:9"


def runs_recorded(folder: Path) -> int:
    database = folder / "mlruns/mlflow.db"
    if not database.exists():
        return 0
    with sqlite3.connect(database) as connection:
        return int(connection.execute("select count(*) from runs").fetchone()[0])


def assert_refused(done: Done, folder: Path, *sentence: str) -> None:
    """One line on stderr that says all of this, exit code 2, no run."""
    assert done.code == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for part in sentence:
        assert part in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert runs_recorded(folder) == 0


def assert_hydra_refused(done: Done, folder: Path, *words: str) -> None:
    assert done.code == 1, done
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert runs_recorded(folder) == 0


def save_png(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.kernelsize=3"], ["Could not override 'model.kernelsize'", "Key 'kernelsize' not in"]),
        (["model.kernel_size=three"], ["model.kernel_size=three", "could not be converted to Integer"]),
        (["study=nope"], ["Could not find 'study/nope'", "filter_size", "full_search", "quickstart"]),
        (["data.path=a b(c"], ["data.path=a b(c", "hint: values with spaces"]),
    ],
    ids=["misspelt key", "wrong type", "unknown study", "unreadable override"],
)
def test_hydra_reports(tmp_path: Path, overrides: list[str], words: list[str]) -> None:
    assert_hydra_refused(run(tmp_path, "train", *overrides), tmp_path, *words)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["training.batch_size=0"], "training.batch_size must be at least 1, but got 0."),
        (["model.dropout=1.5"], "model.dropout must be at least 0 and below 1, but got 1.5."),
        (
            ["model.filters=[8,8,8,8]"],
            "halves the image 4 times, which needs 16 pixels a side, but the images are 8x8",
        ),
        (
            ["regularizer.strength=0.1"],
            "regularizer.strength=0.1 has nothing to act on with regularizer=none. Choose regularizer=l1",
        ),
        (["-m", "optimizer=sgd,adamm"], "optimizer has no option adamm. It has adam, adamw, rmsprop, sgd."),
        (["-m", "model.kernel_size=3,abc"], "model.kernel_size=abc does not fit"),
        (["-m", "tracking.uri=a,b"], "tracking.uri cannot be swept: it does not define a run."),
    ],
    ids=[
        "out of range",
        "float out of range",
        "too much downsampling",
        "strength of nothing",
        "option",
        "axis type",
        "no axis",
    ],
)
def test_rules_between_fields(tmp_path: Path, overrides: list[str], sentence: str) -> None:
    assert_refused(run(tmp_path, "train", *overrides), tmp_path, sentence)
    assert not (tmp_path / "mlruns/mlflow.db").exists()


def test_cifar10_without_network_or_path_says_how_to_go_on(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "train",
        "data=cifar10",
        KERAS_HOME=str(tmp_path / "keras"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        http_proxy=CLOSED,
        https_proxy=CLOSED,
    )
    assert_refused(done, tmp_path, "data=cifar10 is not on this machine", "Offline, copy", "data.path")
    assert done.seconds < 15


def truncated_archive(folder: Path) -> list[str]:
    whole = folder / "whole.tar.gz"
    batch = folder / "data_batch_1"
    batch.write_bytes(np.random.default_rng(0).bytes(100_000))
    with tarfile.open(whole, "w:gz") as archive:
        archive.add(batch, "cifar-10-batches-py/data_batch_1")
    cut = folder / "cifar-10-python.tar.gz"
    cut.write_bytes(whole.read_bytes()[:50_000])
    return ["data=cifar10", f"data.path={cut}"]


def malicious_pickle(folder: Path) -> list[str]:
    class Attack:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            import os

            return os.system, ("touch attacked",)

    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"):
        (batches / name).write_bytes(pickle.dumps(Attack(), protocol=2))
    return ["data=cifar10", f"data.path={batches}"]


def mixed_sizes(folder: Path) -> list[str]:
    for number in range(4):
        save_png(folder / f"photos/cat/{number}.png", (8, 8))
        save_png(folder / f"photos/dog/{number}.png", (8, 9 if number == 3 else 8))
    return ["data=image_folder", f"data.path={folder}/photos"]


def empty_class(folder: Path) -> list[str]:
    save_png(folder / "photos/cat/1.png", (8, 8))
    (folder / "photos/dog").mkdir()
    return ["data=image_folder", f"data.path={folder}/photos"]


def no_image(folder: Path) -> list[str]:
    for number in range(3):
        save_png(folder / f"photos/cat/{number}.png", (8, 8))
        save_png(folder / f"photos/dog/{number}.png", (8, 8))
    (folder / "photos/dog/notes.png").write_text("not an image")
    return ["data=image_folder", f"data.path={folder}/photos"]


def labels_outside(folder: Path) -> list[str]:
    images = np.zeros((12, 8, 8), np.uint8)
    labels = np.arange(12) % 3
    np.savez(
        folder / "data.npz",
        x_train=images,
        y_train=labels,
        x_test=images,
        y_test=labels + 1,
        class_names=["a", "b", "c"],
    )
    return ["data=npz", f"data.path={folder}/data.npz"]


def truncated_idx(folder: Path) -> list[str]:
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc"))
    return ["data=mnist", f"data.path={folder}"]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (truncated_archive, ["cifar-10-python.tar.gz is damaged or incomplete"]),
        (malicious_pickle, ["system", "it may be malicious"]),
        (mixed_sizes, ["one size", "8x8", "9x8", "data.image_size"]),
        (empty_class, ["The class dog has no images"]),
        (no_image, ["notes.png", "cannot be read as an image"]),
        (labels_outside, ["the label 3", "numbered 0 to 2"]),
        (truncated_idx, ["train-images-idx3-ubyte.gz", "Copy or download it again"]),
    ],
)
def test_bad_data(tmp_path: Path, prepare: Callable[[Path], list[str]], words: list[str]) -> None:
    done = run(tmp_path, "train", *prepare(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert_refused(done, tmp_path, *words)
    assert not (tmp_path / "attacked").exists()
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "train", f"tracking.uri={CLOSED}")
    assert_refused(done, tmp_path, CLOSED, "Start it, or correct tracking.uri")
    assert done.seconds < 15


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run(tmp_path, "train", f"tracking.uri={uri}")
    assert_refused(done, tmp_path, uri)
    assert done.seconds < 25


def test_predicting_from_a_run_that_does_not_exist(tmp_path: Path) -> None:
    save_png(tmp_path / "image.png", (8, 8))
    done = run(tmp_path, "predict", "run_id=0123456789abcdef", "images=[image.png]")
    assert_refused(done, tmp_path, "No runs are recorded yet", "tracking.uri")
    assert not (tmp_path / "mlruns").exists()


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_text("not an image")
    done = run(tmp_path, "predict", "run_id=0123456789abcdef", "images=[image.png]")
    assert_refused(done, tmp_path, "image.png cannot be read as an image")


def test_a_grid_in_which_nothing_is_possible(tmp_path: Path) -> None:
    done = run(tmp_path, "train", "-m", "regularizer=none", "regularizer.strength=0.1,0.2")
    assert_refused(done, tmp_path, "No configuration of this space can be trained", "regularizer=none")
