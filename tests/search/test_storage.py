"""The folder of a storage has an id of its own, whatever happened when it was written."""

import resource
from pathlib import Path

import pytest

from kerasweep.search.journal import JournalFolder


def test_two_folders_are_two_places(tmp_path: Path) -> None:
    one, other = JournalFolder(tmp_path / "one"), JournalFolder(tmp_path / "other")
    assert one.place()["id"] != other.place()["id"]
    (tmp_path / "one").rename(tmp_path / "moved")
    assert JournalFolder(tmp_path / "moved").place()["id"] == (tmp_path / "moved/place").read_text()


def test_a_full_disk_leaves_no_place_without_an_id(tmp_path: Path) -> None:
    storage, limits = JournalFolder(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            storage.place()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    place = storage.place()
    assert place["id"] and storage.place() == place


def test_a_place_that_an_older_version_left_empty_gets_an_id(tmp_path: Path) -> None:
    (tmp_path / "place").touch()
    place = JournalFolder(tmp_path).place()
    assert place["id"] and JournalFolder(tmp_path).place() == place
