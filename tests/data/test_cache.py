"""The cache decodes data once, shares it, rewrites damaged entries, and is skipped if unwritable."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerasweep.config.folders import cache_folder
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.cache import cached, cached_into
from kerasweep.data.mapped import Allocate
from kerasweep.serving.pixels import Conversion

ROOT = Path(__file__).resolve().parents[2]


class Decoder:
    """A decoder that counts its calls."""

    def __init__(self, has_validation: bool = False) -> None:
        self.calls = 0
        self.has_validation = has_validation

    def __call__(self) -> Arrays:
        self.calls += 1
        images, labels = np.arange(48, dtype=np.uint8).reshape(4, 3, 4), np.array([0, 1, 0, 1])
        own = (images[:2], labels[:2]) if self.has_validation else None
        return make_arrays((images, labels), (images, labels), ["ä", "b"], "mine", own)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    (tmp_path / "original").write_text("pixels")
    return tmp_path / "original"


def test_second_use_is_memory_mapped_and_equal(tmp_path: Path, original: Path) -> None:
    decode = Decoder()
    for _ in range(2):
        arrays = cached(tmp_path / "cache", [original], "a", decode)
        assert isinstance(arrays.train_images, np.memmap)
        assert np.array_equal(arrays.train_images, decode().train_images)
        assert (arrays.class_names, arrays.digest) == (("ä", "b"), decode().digest)
    assert decode.calls == 1 + 4
    assert [path.name[0] for path in (tmp_path / "cache").iterdir()] != ["."]


def test_the_own_validation_part_is_cached(tmp_path: Path, original: Path) -> None:
    decode = Decoder(has_validation=True)
    for _ in range(2):
        found = cached(tmp_path / "cache", [original], "a", decode).validation
        assert found is not None and isinstance(found[0], np.memmap)
        assert (found[0].shape, found[1].tolist()) == ((2, 3, 4, 1), [0, 1])
    assert decode.calls == 1


def test_a_file_with_the_size_and_time_of_the_old_one_is_decoded_again(
    tmp_path: Path, original: Path
) -> None:
    decode, before = Decoder(), original.stat()
    cached(tmp_path / "cache", [original], "a", decode)
    while original.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system ticks slowly
        original.write_text("PIXELS")
        os.utime(original, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (original.stat().st_size, original.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    cached(tmp_path / "cache", [original], "a", decode)
    assert decode.calls == 2


def test_a_change_within_a_tick_of_the_clock_is_noticed(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, times = Decoder(), original.stat()
    monkeypatch.setattr("kerasweep.data.cache._key", lambda files, variant: f"{times.st_mtime_ns}")
    cached(tmp_path / "cache", [original], "a", decode)
    cached(tmp_path / "cache", [original], "a", decode)
    assert decode.calls == 1
    original.write_text("PIXELS")  # a slow clock would give it the times of the first text
    cached(tmp_path / "cache", [original], "a", decode)
    cached(tmp_path / "cache", [original], "a", decode)
    assert decode.calls == 2


def test_conversion_and_notes_are_cached(tmp_path: Path, original: Path) -> None:
    def decode() -> Arrays:
        return replace(Decoder()(), conversion=Conversion("pad", 16), notes=("ü",))

    for _ in range(2):
        arrays = cached(tmp_path / "cache", [original], "a", decode)
        assert (arrays.conversion, arrays.notes) == (Conversion("pad", 16), ("ü",))


def test_a_changed_file_or_variant_is_decoded_again(tmp_path: Path, original: Path) -> None:
    decode = Decoder()
    cached(tmp_path / "cache", [original], "a", decode)
    cached(tmp_path / "cache", [original], "b", decode)
    original.write_text("other pixels")
    cached(tmp_path / "cache", [original], "a", decode)
    os.utime(original, (1, 1))
    cached(tmp_path / "cache", [original], "a", decode)
    assert decode.calls == 4


def _cut_array(entry: Path) -> None:
    content = (entry / "train_images.npy").read_bytes()
    (entry / "train_images.npy").write_bytes(content[:-5])


def _alter_a_pixel(entry: Path) -> None:
    content = bytearray((entry / "train_images.npy").read_bytes())
    content[-1] ^= 1
    (entry / "train_images.npy").write_bytes(content)


def _alter_a_label(entry: Path) -> None:
    np.save(entry / "test_labels.npy", np.array([1, 1, 0, 1]))


def _lose_array(entry: Path) -> None:
    (entry / "test_labels.npy").unlink()


def _lose_marker(entry: Path) -> None:
    (entry / "complete.json").unlink()


def _cut_marker(entry: Path) -> None:
    (entry / "complete.json").write_text("{")


def _other_marker(entry: Path) -> None:
    (entry / "complete.json").write_text(json.dumps(["a"]))


def _other_array(entry: Path) -> None:
    np.save(entry / "train_labels.npy", np.arange(3))


@pytest.mark.parametrize(
    "damage",
    [
        _alter_a_pixel,
        _alter_a_label,
        _other_array,
        _cut_array,
        _lose_array,
        _lose_marker,
        _cut_marker,
        _other_marker,
    ],
)
def test_a_damaged_entry_is_written_again(
    tmp_path: Path, original: Path, damage: Callable[[Path], None]
) -> None:
    decode = Decoder()
    cached(tmp_path / "cache", [original], "a", decode)
    (entry,) = (tmp_path / "cache").iterdir()
    damage(entry)
    arrays = cached(tmp_path / "cache", [original], "a", decode)
    assert np.array_equal(arrays.train_images, Decoder()().train_images)
    assert decode.calls == 2
    cached(tmp_path / "cache", [original], "a", decode)
    assert decode.calls == 2


def test_an_unwritable_cache_leaves_the_data_in_memory(
    original: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        arrays = cached(original / "below a file", [original], "a", Decoder())
    assert not isinstance(arrays.train_images, np.memmap)
    assert "cannot be written" in caplog.text


def test_an_entry_is_as_readable_as_its_folder(tmp_path: Path, original: Path) -> None:
    cached(tmp_path / "cache", [original], "a", Decoder())
    (entry,) = (tmp_path / "cache").iterdir()
    assert entry.stat().st_mode == (tmp_path / "cache").stat().st_mode


def test_removes_files_of_a_killed_process(tmp_path: Path, original: Path) -> None:
    for name in ("old", "young"):
        (tmp_path / "cache" / f".new-{name}").mkdir(parents=True)
    os.utime(tmp_path / "cache" / ".new-old", (1, 1))
    cached(tmp_path / "cache", [original], "a", Decoder())
    hidden = [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]
    assert hidden == [".new-young"]


def test_keeps_the_folder_of_a_process_that_decodes_for_hours(tmp_path: Path, original: Path) -> None:
    under_way = tmp_path / "cache" / ".new-hours"
    under_way.mkdir(parents=True)
    (under_way / "train_images.npy").touch()
    os.utime(under_way, (1, 1))
    cached(tmp_path / "cache", [original], "a", Decoder())
    assert under_way.exists()


def test_images_are_decoded_into_the_file_of_the_entry(tmp_path: Path, original: Path) -> None:
    calls = []

    def decode(allocate: Allocate) -> Arrays:
        calls.append(1)
        allocate("train_images", (9, 3, 4, 1))[:] = 1  # then a file turned out to be unreadable
        images = allocate("train_images", (4, 3, 4, 1))
        images[:] = Decoder()().train_images
        return replace(Decoder()(), train_images=images)

    for _ in range(2):
        arrays = cached_into(tmp_path / "cache", [original], "a", decode)
        assert isinstance(arrays.train_images, np.memmap)
        assert np.array_equal(arrays.train_images, Decoder()().train_images)
    assert len(calls) == 1


LOAD = """
import logging, re, resource, sys
from pathlib import Path
import numpy as np
from kerasweep.config.data import DataConf
from kerasweep.data.sources import load
if sys.argv[3:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
logging.basicConfig()

def peak_kb():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak_kb()
arrays = load(DataConf(source="image_folder", path=sys.argv[1], cache_dir=sys.argv[2]))
print(arrays.digest, isinstance(arrays.train_images, np.memmap), (peak_kb() - before) / 2**10)
"""


def _loaded(folder: Path, cache: Path, *max_file_bytes: str) -> tuple[list[str], str]:
    command = [sys.executable, "-c", LOAD, str(folder), str(cache), *max_file_bytes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def test_a_folder_larger_than_memory_fits_and_a_full_disk_leaves_it_in_memory(
    tmp_path: Path, save_image: Callable[..., None]
) -> None:
    """128 MiB of pixels need a fraction of that; where no file may be so large, all of it."""
    for number in range(32):
        save_image(tmp_path / "photos" / f"{number % 2}" / f"{number}.png", 1024, 1365, "RGB", number)
    (digest, is_mapped, grown_mb), _ = _loaded(tmp_path / "photos", tmp_path / "cache")
    assert is_mapped == "True" and float(grown_mb) < 64
    (other, is_mapped, grown_mb), told = _loaded(tmp_path / "photos", tmp_path / "full", str(2**20))
    assert (other, is_mapped) == (digest, "False") and float(grown_mb) > 120
    assert f"The data cache {tmp_path}/full cannot be written (" in told
    assert list((tmp_path / "full").iterdir()) == []


def test_two_processes_at_once_make_one_entry(idx_folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from kerasweep.config.data import DataConf; from kerasweep.data.sources import load;"
        "print(load(DataConf(source='mnist', path=sys.argv[1], cache_dir=sys.argv[2])).digest)"
    )
    command = [sys.executable, "-c", program, str(idx_folder), str(tmp_path / "cache")]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    digests = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(digests) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_default_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "kerasweep"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/kerasweep")
