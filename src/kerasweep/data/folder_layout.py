"""Finds the image files of a folder: its parts, its classes, and the files that are left out."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasweep.data.image_file import SUFFIXES
from kerasweep.errors import DataError, first_names, readable

# The names of downloads: train, Train, training, seg_train, train_set, test-images, val, valid.
_PARTS = {"training": "train|training", "validation": "val|valid|validation", "test": "test|testing"}
_PART_NAME = r"(?:seg_)?(?:{})[_ -]?(?:set|data|images|split)?"
MAX_EXAMPLES = 3

Labelled = list[tuple[Path, int]]


@dataclass(frozen=True)
class ImageFolder:
    """The files of a data set, each with its class number."""

    class_names: list[str]
    train: Labelled
    validation: Labelled | None  # None if it is split off the training images
    test: Labelled | None  # likewise
    left_out: str | None  # a sentence on the files that are no images of a class
    class_container: str = "folder"  # what holds the images of a class, for errors
    # Opens an image that is no file, but lies in one, where it has the name of the path.
    content: Callable[[Path], Any] | None = None

    @property
    def labelled(self) -> Labelled:
        return [*self.train, *(self.validation or ()), *(self.test or ())]

    @property
    def files(self) -> list[Path]:
        return [path for path, _ in self.labelled]


def find_images(root: Path) -> ImageFolder:
    """Finds the images in a folder; classes are its subfolders in alphabetical order.

    Subfolders such as `train`, `val` and `test` are the parts of the data set, and hold the classes.

    Raises:
        DataError: A class is empty, there are fewer than two, the training images lack a class, or the
            subfolders are neither classes nor known parts.
    """
    if not root.is_dir():
        raise DataError(f"data.path must be a folder with one subfolder per class, but {root} is not one.")
    left_out = _LeftOut(root)
    parts = _find_parts(root)
    if parts is None:
        names = _class_names(root, left_out)
        labelled = _labelled_files(root, names, left_out)
        check_splittable([label for _, label in labelled], names)
        return ImageFolder(names, labelled, None, None, left_out.sentence())
    left_out.add_around(root, [folder.name for folder in parts.values()])
    names = _class_names(parts["training"], left_out)
    files: dict[str, Labelled] = {}
    for part, folder in parts.items():
        if part != "training":
            _check_known(folder, names, left_out)
        files[part] = _labelled_files(folder, names, left_out)
    if "test" not in parts:
        check_splittable([label for _, label in files["training"]], names)
    return ImageFolder(
        names, files["training"], files.get("validation"), files.get("test"), left_out.sentence()
    )


def part_of(name: str) -> str | None:
    """Returns `training`, `validation` or `test` for a name such as train or val; None for another name."""
    return next((part for part, words in _PARTS.items() if _is_named(name, words)), None)


def check_splittable(labels: Sequence[int], names: Sequence[str], class_container: str = "folder") -> None:
    """Raises DataError for a class without an image for each of the training and the test set."""
    counts = Counter(labels)
    for label, name in enumerate(names):
        if counts[label] < 2:
            raise DataError(
                f"The class {name} has {'a single' if counts[label] else 'no readable'} image, but the "
                f"training and the test set need one each. Add images, or remove the {class_container}."
            )


def lost_part(part: str, total: int, source: Path, now: str, holder: str) -> DataError:
    """Returns an error for a part without an image left, which no draw from the training images may replace.

    Args:
        part: `validation` or `test`.
        total: The number of images that it should have.
        source: The folder or the table.
        now: `missing` or `unreadable`.
        holder: What names the images in the source, such as `these rows`.
    """
    images = (
        f"All {total:,} {part} images of {source} are" if total > 1 else f"The {part} image of {source} is"
    )
    return DataError(f"{images} {now}. Restore the files, or remove {holder} to divide the images at random.")


class _LeftOut:
    """Counts what is no image of a class, by kind, with the first paths as examples."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, path: Path) -> None:
        """Notes one path; the plural of its kind ends in s."""
        self._paths[kind].append(str(path.relative_to(self._root)))

    def add_around(self, folder: Path, used: Sequence[str]) -> None:
        """Notes what lies in a folder beside the subfolders that are used."""
        for path in sorted(folder.iterdir()):
            if not _is_hidden(path.name) and path.name not in used:
                self.add("other folder" if path.is_dir() else _kind(path, "loose file"), path)

    def sentence(self) -> str | None:
        """Returns a sentence, or None if nothing was left out."""
        kinds = []
        for kind, paths in self._paths.items():
            plural = "s" if len(paths) > 1 else ""
            kinds.append(f"{len(paths):,} {kind}{plural} ({first_names(paths, MAX_EXAMPLES)})")
        return readable(f"{self._root} has files that are left out: {', '.join(kinds)}.") if kinds else None


def _find_parts(root: Path) -> dict[str, Path] | None:
    """Returns the folders of the parts, the training part first; None if the subfolders are classes."""
    folders = _subfolders(root)
    parts: dict[str, list[Path]] = {
        part: [folder for folder in folders if _is_named(folder.name, words)]
        for part, words in _PARTS.items()
    }
    present = {part: folders for part, folders in parts.items() if folders}
    named = sum(map(len, present.values()))
    others = len(folders) - named
    has_classes = "training" in present and any(_subfolders(folder) for folder in present["training"])
    is_split = "training" in present and (
        (len(present) > 1 and (has_classes or not others)) or (len(folders) == 1 and has_classes)
    )
    if is_split:
        for part, found in present.items():
            if len(found) > 1:
                raise DataError(
                    f"{root} has {len(found)} folders of {part} images: "
                    f"{', '.join(folder.name for folder in found)}. Join them, or move the others away."
                )
        return {part: folders[0] for part, folders in present.items()}
    if named and not others and "training" not in present:
        raise DataError(
            f"{root} holds {' and '.join(folder.name for folder in folders)}, but no training images. "
            "Add a folder train, with one subfolder per class."
        )
    _check_no_unknown_parts(root, folders)
    return None


def _check_no_unknown_parts(root: Path, folders: list[Path]) -> None:
    """Raises DataError if all subfolders hold the same subfolders: they are parts, not classes."""
    below = [[path.name for path in _subfolders(folder)] for folder in folders]
    if len(folders) < 2 or len(below[0]) < 2 or any(names != below[0] for names in below):
        return
    holding = [folder.name for folder in folders]
    raise DataError(
        f"{root} holds {first_names(holding, MAX_EXAMPLES)}, which all hold the same subfolders "
        f"({first_names(below[0], MAX_EXAMPLES)}). If those are the classes, name the folders above train, "
        "validation and test; else put the images of each class directly into its folder."
    )


def _is_named(name: str, words: str) -> bool:
    return re.fullmatch(_PART_NAME.format(words), name, re.IGNORECASE) is not None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))


def _class_names(root: Path, left_out: _LeftOut) -> list[str]:
    names = sorted(path.name for path in _subfolders(root))
    if len(names) < 2:
        inner = f" Perhaps data.path={root / names[0]}?" if names and _subfolders(root / names[0]) else ""
        raise DataError(
            f"{root} must hold one subfolder per class, two or more, but it holds {len(names)}. "
            f"Sort the images into folders named after their classes.{inner}"
        )
    left_out.add_around(root, names)
    return names


def _check_known(folder: Path, names: list[str], left_out: _LeftOut) -> None:
    unknown = sorted(set(_class_names(folder, left_out)) - set(names))
    if unknown:
        raise DataError(
            f"{folder} has the class {unknown[0]}, which the training set lacks. "
            "Add training images of it, or remove the folder."
        )


def _labelled_files(root: Path, names: list[str], left_out: _LeftOut) -> Labelled:
    labelled: Labelled = []
    for label, name in enumerate(names):
        files = image_files(root / name, left_out)
        if not files:
            raise DataError(
                f"The class {name} has no images in {root / name} ({', '.join(sorted(SUFFIXES))}). "
                "Add some, or remove the folder."
            )
        labelled += [(path, label) for path in files]
    return labelled


def image_files(folder: Path, left_out: _LeftOut | None = None) -> list[Path]:
    """Returns every image file in or below a folder, sorted, without hidden ones."""
    images: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        linked = [Path(place, name) for name in folders if os.path.islink(os.path.join(place, name))]
        for path in (Path(place, name) for name in sorted(files) if not _is_hidden(name)):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                images.append(path)
            elif left_out is not None:
                left_out.add(_kind(path, f"{path.suffix or 'unnamed'} file"), path)
        for path in linked if left_out is not None else ():
            left_out.add("linked folder", path)  # type: ignore[union-attr]
    return sorted(images)


def _kind(path: Path, kind: str) -> str:
    return "broken link" if path.is_symlink() and not path.exists() else kind
