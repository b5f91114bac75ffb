"""Exports come all at once, or not at all."""

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from kerasweep.errors import ConfigError, StorageError
from kerasweep.handover.export_folder import SIGNATURE, check_free, staged

ABOUT = {"run_id": "a1", "format": "onnx", "quantize": None, "class_names": ("x",)}


def write(folder: Path, about: dict[str, object], content: str) -> None:
    """Writes a finished export."""
    folder.mkdir(parents=True)
    (folder / SIGNATURE).write_text(json.dumps(about))
    (folder / "model.onnx").write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_finished_exports_move_to_their_place(tmp_path: Path) -> None:
    with staged(tmp_path / "a" / "b") as stage:
        write(stage / "onnx", ABOUT, "new")
        (stage / "left over").write_text("by a library")
        assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [stage.name]
    assert names(tmp_path) == ["a", "a/b", "a/b/onnx", "a/b/onnx/model.onnx", f"a/b/onnx/{SIGNATURE}"]


def test_export_is_replaced_as_a_whole_and_others_stay(tmp_path: Path) -> None:
    write(tmp_path / "onnx", ABOUT, "old")
    (tmp_path / "onnx" / "old").write_text("")
    write(tmp_path / "litert", ABOUT, "other")
    with staged(tmp_path) as stage:
        write(stage / "onnx", ABOUT, "new")
    assert (tmp_path / "onnx" / "model.onnx").read_text() == "new"
    assert names(tmp_path / "onnx") == ["model.onnx", SIGNATURE]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["litert", "onnx"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConfigError("no"), RuntimeError()])
def test_nothing_stays_after_an_error(error: BaseException, tmp_path: Path) -> None:
    write(tmp_path / "taken" / "onnx", ABOUT, "old")
    for folder in (tmp_path / "a" / "b", tmp_path / "taken"):
        with pytest.raises(type(error)), staged(folder) as stage:
            write(stage / "onnx", ABOUT, "new")
            raise error
    assert names(tmp_path) == ["taken", "taken/onnx", "taken/onnx/model.onnx", f"taken/onnx/{SIGNATURE}"]
    assert (tmp_path / "taken" / "onnx" / "model.onnx").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device. To go on, free some space on its disk"),
        (errno.EFBIG, "File too large. To go on, allow larger files, see ulimit -f"),
        (errno.EACCES, "Permission denied. To go on, make it writable"),
    ],
)
def test_unwritable_folder_is_one_sentence(number: int, advice: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised, staged(tmp_path / "a" / "b"):
        raise OSError(number, os.strerror(number))
    assert str(raised.value) == (
        f"{tmp_path / 'a' / 'b'} cannot be written: {advice}, and start the same command."
    )
    assert names(tmp_path) == []


def test_another_error_of_the_system_is_no_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), staged(tmp_path / "a"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_file_in_the_place_of_the_folder_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError) as raised, staged(tmp_path / place):
        pass
    assert str(raised.value) == f"folder={tmp_path / place} is no folder. Choose another place."
    assert names(tmp_path) == ["file"]


def test_temporary_files_lie_in_the_stage_meanwhile(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with staged(tmp_path) as stage:
        assert tempfile.gettempdir() == str(stage)
    assert tempfile.gettempdir() == before


@pytest.mark.parametrize("change", [{}, {"class_names": ("y",)}], ids=["same", "retrained classes"])
def test_export_of_the_same_run_and_format_may_be_replaced(change: dict[str, object], tmp_path: Path) -> None:
    check_free(tmp_path, {"onnx": ABOUT})
    write(tmp_path / "onnx", {**ABOUT, **change}, "old")
    check_free(tmp_path, {"onnx": ABOUT})


@pytest.mark.parametrize("change", [{"run_id": "b2"}, {"format": "litert"}, {"quantize": "int8"}, None])
def test_another_folder_is_not_replaced(change: dict[str, object] | None, tmp_path: Path) -> None:
    write(tmp_path / "onnx", {**ABOUT, **(change or {})}, "old")
    if change is None:
        (tmp_path / "onnx" / SIGNATURE).unlink()
    with pytest.raises(ConfigError) as raised:
        check_free(tmp_path, {"litert": ABOUT, "onnx": ABOUT})
    assert str(raised.value) == (
        f"{tmp_path / 'onnx'} exists and is no export of this run in this format. Move it away, or choose "
        "another place with folder=FOLDER."
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"run_id": "a1"}', "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_damaged_signature_is_no_export(text: str, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / SIGNATURE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="is no export of this run"):
        check_free(tmp_path, {"onnx": ABOUT})
