"""Entries of a trial reach the driver complete and as plain values, and temporary files are removed."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasweep.tracking.entries import (
    Dataset,
    Entry,
    File,
    Metrics,
    Model,
    Params,
    Tags,
    Text,
    single_values,
)
from kerasweep.tracking.recorder import Recorder, RelayedRecorder, write_relayed


class Notebook(Recorder):
    """Keeps entries and the content that files have when they arrive."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Entry]] = []
        self.files: list[str] = []

    def write(self, run_id: str, entry: Entry) -> None:
        if isinstance(entry, File):
            self.files.append(entry.file.read_text())
        self.entries.append((run_id, entry))


class Saved:
    """Stands for a Matplotlib figure."""

    def savefig(self, file: Path, dpi: int) -> None:
        file.write_text(f"{dpi} dpi")


@pytest.fixture
def relayed(tmp_path: Path) -> tuple[RelayedRecorder, Notebook, Notebook]:
    """Returns a worker's recorder, the driver's notebook that it sends to, and the worker's for models."""
    driver, worker = Notebook(), Notebook()

    def send(run_id: str, entry: Entry) -> None:
        write_relayed(driver, run_id, pickle.loads(pickle.dumps(entry)))

    return RelayedRecorder(send, tmp_path / ".outbox", lambda: worker), driver, worker


def test_each_entry_arrives_in_order_and_in_plain_values(
    relayed: tuple[RelayedRecorder, Notebook, Notebook],
) -> None:
    recorder, driver, _ = relayed
    loss: Any = np.float32(0.5)
    width: Any = 3
    recorder.log_epoch("a", 2, {"loss": loss})
    recorder.log_metrics("b", {"seconds": 1.5})
    recorder.log_params("a", {"width": width})
    recorder.set_tags("a", {"width": width})
    recorder.log_dataset("a", "digits", "0123", "/data/digits", {"train": 3})
    recorder.log_text("a", "길이: 3", "notes/text.txt")
    (epoch, once), others = driver.entries[:2], driver.entries[2:]
    assert (epoch[0], epoch[1].values, epoch[1].step) == ("a", {"loss": 0.5}, 2)  # type: ignore[union-attr]
    assert type(epoch[1].values["loss"]) is float  # type: ignore[union-attr]
    assert (once[0], once[1].values, once[1].step) == ("b", {"seconds": 1.5}, 0)  # type: ignore[union-attr]
    assert others == [
        ("a", Params({"width": "3"})),
        ("a", Tags({"width": "3"})),
        ("a", Dataset("digits", "0123", "/data/digits", '{"train": 3}')),
        ("a", Text("길이: 3", "notes/text.txt")),
    ]


def test_file_is_logged_as_it_was_and_its_copy_removed(
    relayed: tuple[RelayedRecorder, Notebook, Notebook], tmp_path: Path
) -> None:
    recorder, driver, _ = relayed
    file = tmp_path / "note.txt"
    for text in ("first", "second"):
        file.write_text(text)
        recorder.log_file("a", file, "notes")
    recorder.log_figure("a", Saved, "figures/curve.png")
    assert driver.files == ["first", "second", "110 dpi"]
    logged = [entry for _, entry in driver.entries if isinstance(entry, File)]
    assert [(entry.file.name, entry.folder) for entry in logged] == [
        ("note.txt", "notes"),
        ("note.txt", "notes"),
        ("curve.png", "figures"),
    ]
    assert file.read_text() == "second" and list((tmp_path / ".outbox").iterdir()) == []


def test_model_is_written_by_the_worker(relayed: tuple[RelayedRecorder, Notebook, Notebook]) -> None:
    recorder, driver, worker = relayed
    recorder.log_model("a", "model", ("cat", "dog"))
    assert (driver.entries, worker.entries) == ([], [("a", Model("model", ["cat", "dog"]))])


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", "a/../b", ".", "a//b", "a/"])
def test_path_outside_the_run_is_refused(
    path: str, relayed: tuple[RelayedRecorder, Notebook, Notebook], tmp_path: Path
) -> None:
    recorder, driver, _ = relayed
    with pytest.raises(ValueError, match=f"below its run, as in figures/curve.png, but got '{path}'"):
        recorder.log_text("a", "text", path)
    (tmp_path / "note.txt").touch()
    with pytest.raises(ValueError, match="below its run"):
        recorder.log_file("a", tmp_path / "note.txt", path)
    assert driver.entries == []


def test_values_of_other_types_are_refused_in_their_trial(
    relayed: tuple[RelayedRecorder, Notebook, Notebook],
) -> None:
    recorder, driver, _ = relayed
    nothing: Any = None
    with pytest.raises(TypeError, match="NoneType"):
        recorder.log_epoch("a", 1, {"loss": nothing})
    with pytest.raises(TypeError, match="log_text needs a str, but got NoneType"):
        recorder.log_text("a", nothing, "note.txt")
    with pytest.raises(TypeError, match="JSON"):
        recorder.log_dataset("a", "digits", "0", "digits", {"train": object()})
    assert driver.entries == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Metrics({"a": 1.0, "b": 2.0}, 3, 4), [Metrics({"a": 1.0}, 3, 4), Metrics({"b": 2.0}, 3, 4)]),
        (Tags({"a": "1", "b": "2"}), [Tags({"a": "1"}), Tags({"b": "2"})]),
        (Params({}), []),
    ],
)
def test_entry_is_divided_into_its_values(entry: Any, expected: list[Mapping[str, Any]]) -> None:
    assert list(single_values(entry)) == expected
