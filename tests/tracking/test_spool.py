"""What MLflow has not taken is on disk, entry by entry, until it is removed."""

import math
from pathlib import Path

import pytest

from kerasweep.errors import StorageError
from kerasweep.tracking.entries import Dataset, Entry, File, Metrics, Params, Tags, Text
from kerasweep.tracking.spool import Spool

ENTRIES: list[Entry] = [
    Metrics({"loss": 0.5, "val_loss": math.inf}, step=3, timestamp=1_700_000_000_000),
    Tags({"state": "complete", "note": "빠른 \x1b"}),
    Params({"batch_size": "32"}),
    Dataset("digits", "0123", "digits", '{"train": 1}'),
    Text("a: 1", "config.yaml"),
]


def test_entries_of_each_kind_come_back_in_another_process(tmp_path: Path) -> None:
    Spool(tmp_path / "s").add("run", ENTRIES[:2])
    Spool(tmp_path / "s").add("run", ENTRIES[2:])
    other = Spool(tmp_path / "s")
    assert other.runs() == ["run"] and other.has("run")
    assert other.load("run") == ENTRIES


def test_a_run_without_entries_has_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    assert (spool.runs(), spool.has("run"), spool.load("run")) == ([], False, [])
    spool.remove("run", [])
    assert not (tmp_path / "s").exists()


def test_the_file_of_an_artifact_is_kept_until_its_run_is_removed(tmp_path: Path) -> None:
    spool, file = Spool(tmp_path / "s"), tmp_path / "curve.png"
    file.write_bytes(b"png")
    kept = spool.adopt("run", File(file, "figures"))
    file.unlink()
    spool.add("run", [kept])
    (tmp_path / "s").rename(tmp_path / "moved")
    spool = Spool(tmp_path / "moved")
    (entry,) = spool.load("run")
    assert isinstance(entry, File)
    assert (entry.file.name, entry.file.read_bytes(), entry.folder) == ("curve.png", b"png", "figures")
    spool.add("other", ENTRIES)
    of_another_process = spool.adopt("run", entry)
    spool.remove("run", [entry])
    assert not entry.file.exists() and of_another_process.file.exists() and spool.runs() == ["other"]
    spool.remove("run", [of_another_process])
    assert not (tmp_path / "moved/run").exists()


@pytest.mark.parametrize("content", ["", "[{", '[{"kind": "Model"}]', '[{"kind": "Text"}]', "[3]", "{}x"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    spool = Spool(tmp_path / "s")
    spool.add("run", ENTRIES)
    (tmp_path / "s/run.json").write_text(content)
    with pytest.raises(
        StorageError, match=r"run\.json holds metrics .* and is damaged: .* Restore it, or remove"
    ):
        spool.load("run")


def test_entries_stay_if_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "s")
    spool.add("run", ENTRIES[:1])
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        spool.add("run", ENTRIES[1:])
    assert spool.load("run") == ENTRIES[:1] and spool.runs() == ["run"]
