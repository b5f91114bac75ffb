"""Each mistake of a user gives one clear sentence and the right exit code, and leaves no partial file."""

import gzip
import pickle
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasweep.config.search import TrackingConf
from kerasweep.tracking import retry
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.writer import open_tracker
from tests.processes import Done, call, run

SINGLE_AND_SWEEP = pytest.mark.parametrize("mode", [(), ("-m",)], ids=["single run", "sweep"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns an empty working directory; files that a command reads lie beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Imports the heavy packages first, so that time limits measure only how long a command waits."""
    import mlflow  # noqa: F401

    import kerasweep.multirun.conduct  # noqa: F401


def attempt(folder: Path, module: str, *arguments: str, **variables: str) -> Done:
    """Runs a command with fresh cache folders."""
    caches = {name: str(folder.parent / name) for name in ("XDG_CACHE_HOME", "KERAS_HOME")}
    return call(folder, module, *arguments, **caches, **variables)


@pytest.fixture
def closed() -> Iterator[str]:
    """Returns the address of a reserved port without a listener, so that connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def assert_nothing_written(folder: Path) -> None:
    """Asserts that there is no database, study, artifact or download.

    Hydra's folder of the job does not count, nor does Keras's settings file, which its import writes.
    """
    places = [folder, folder.parent / "KERAS_HOME"]
    found = [path for place in places for path in place.rglob("*") if path.is_file()]
    written = [path for path in found if path.name != "keras.json"]
    assert [path for path in written if "mlruns/jobs/" not in str(path)] == []


def assert_refused(done: Done, folder: Path, *sentence: str) -> None:
    """Asserts that stderr is one line with all these parts, the exit code is 2, and nothing was written."""
    assert done.code == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for part in sentence:
        assert part in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert_nothing_written(folder)


def assert_hydra_refused(done: Done, folder: Path, *words: str) -> None:
    assert done.code == 1, done
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert_nothing_written(folder)


def save_png(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["optimizer.momentum=0.9"],
            ["The chosen optimizer has no momentum. It has name, learning_rate, clipnorm, beta_1"],
        ),
        (["model.kernel_size=three"], ["model.kernel_size=three", "could not be converted to Integer"]),
        (["study=nope"], ["Could not find 'study/nope'", "filter_size", "full_search", "quickstart"]),
        (["-m", "study=nope"], ["Could not find 'study/nope'", "filter_size", "full_search", "quickstart"]),
    ],
    ids=[
        "key of another option",
        "wrong type",
        "unknown study",
        "unknown study in a sweep",
    ],
)
def test_mistakes_that_hydra_finds_are_reported(folder: Path, overrides: list[str], words: list[str]) -> None:
    assert_hydra_refused(attempt(folder, "train", *overrides), folder, *words)


def test_a_process_ends_with_hydras_code(folder: Path) -> None:
    done = run(folder, "train", "-m", "study=nope")
    assert_hydra_refused(done, folder, "Could not find 'study/nope'")


def test_a_process_ends_with_the_code_of_a_refusal(folder: Path) -> None:
    done = run(folder, "train", "training.batch_size=0")
    assert_refused(done, folder, "training.batch_size must be at least 1, but got 0.")


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
        (
            ["-m", "optimizer=sgd,adamm"],
            "optimizer has no option adamm. It has adam, adamw, custom, rmsprop, sgd.",
        ),
        (["model.kernelsize=3"], "There is no key model.kernelsize. Did you mean model.kernel_size?"),
        (["-m", "model.kernelsize=3,5"], "There is no key model.kernelsize. Did you mean model.kernel_size?"),
        (["-m", "model.kernel_size=3,abc"], "model.kernel_size=abc does not fit"),
        (["-m", "tracking.uri=a,b"], "tracking.uri cannot be swept: it does not define a run."),
    ],
    ids=[
        "out of range",
        "float out of range",
        "too much downsampling",
        "strength of nothing",
        "option",
        "misspelt key",
        "misspelt axis",
        "axis type",
        "no axis",
    ],
)
def test_broken_rule_between_keys_is_refused(folder: Path, overrides: list[str], sentence: str) -> None:
    assert_refused(attempt(folder, "train", *overrides), folder, sentence)


@SINGLE_AND_SWEEP
def test_cifar10_without_network_or_path_says_what_to_do(
    folder: Path, closed: str, mode: tuple[str, ...]
) -> None:
    done = attempt(folder, "train", *mode, "data=cifar10", http_proxy=closed, https_proxy=closed)
    assert_refused(done, folder, "data=cifar10 is not on this machine", "Offline, copy", "data.path")
    assert done.seconds < 10  # includes the start of Python and Hydra


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
def test_bad_data_is_refused(folder: Path, prepare: Callable[[Path], list[str]], words: list[str]) -> None:
    assert_refused(attempt(folder, "train", *prepare(folder.parent)), folder, *words)


@SINGLE_AND_SWEEP
def test_a_missing_server_is_named(folder: Path, closed: str, mode: tuple[str, ...]) -> None:
    done = attempt(folder, "train", *mode, f"tracking.uri={closed}")
    assert_refused(done, folder, closed, "Start it, or correct tracking.uri")
    assert done.seconds < 15


def test_a_server_that_never_answers_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert retry.CONNECT_SECONDS < 10
    monkeypatch.setattr(retry, "CONNECT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = attempt(folder, "train", f"tracking.uri={uri}")
    assert_refused(done, folder, uri, "Start it, or correct tracking.uri")
    assert done.seconds < 15


def test_predict_without_recorded_runs_is_refused(folder: Path) -> None:
    save_png(folder.parent / "image.png", (8, 8))
    done = attempt(folder, "predict", "run_id=0123456789abcdef", "images=[../image.png]")
    assert_refused(done, folder, "No runs are recorded yet", "tracking.uri")


def test_an_unreadable_image_is_refused(folder: Path) -> None:
    (folder.parent / "image.png").write_text("not an image")
    done = attempt(folder, "predict", "run_id=0123456789abcdef", "images=[../image.png]")
    assert_refused(done, folder, "image.png cannot be read as an image")


def test_a_grid_without_an_allowed_configuration_is_refused(folder: Path) -> None:
    done = attempt(folder, "train", "-m", "regularizer=none", "regularizer.strength=0.1,0.2")
    assert_refused(done, folder, "No configuration of this space can be trained", "regularizer=none")


@pytest.fixture
def recorded(folder: Path, copy_database: Callable[[Path], Path]) -> Path:
    """Returns a folder whose database holds one trial."""
    tracker = open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(folder)}"))
    run_id = tracker.start("trial-0", {"kind": "trial", "study": "filter_size", "dataset": "digits"}, {})
    tracker.finish(run_id, "complete")
    return folder


def assert_refused_and_unchanged(recorded: Path, done: Done, *sentence: str) -> None:
    assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    assert done.stderr.startswith("error: ")
    for part in sentence:
        assert part in done.stderr
    (run,) = find_runs(TrackingConf(uri=f"sqlite:///{recorded}/mlruns/mlflow.db"), {})
    assert run.tags["state"] == "complete"
    assert {path.name for path in recorded.rglob("*")} <= {"mlruns", "mlflow.db", "mlflow.db.lock"}


def test_predict_from_an_unknown_run_is_refused(recorded: Path) -> None:
    save_png(recorded.parent / "image.png", (8, 8))
    done = attempt(recorded, "predict", "run_id=0123456789abcdef", "images=[../image.png]")
    assert_refused_and_unchanged(recorded, done, "No run 0123456789abcdef", "python -m src.compare")


def test_compare_of_an_unknown_study_is_refused(recorded: Path) -> None:
    done = attempt(recorded, "compare", "study=nope")
    assert_refused_and_unchanged(recorded, done, "No run has study=nope. There is study=filter_size.")
