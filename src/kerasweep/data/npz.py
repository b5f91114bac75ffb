"""Reads a NumPy archive with images and labels."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, checked_part, make_arrays
from kerasweep.data.split import stratified_split
from kerasweep.errors import DataError

# zipfile and NumPy raise these for a cut or altered archive: RuntimeError if it seems encrypted or, as
# NotImplementedError, compressed in an unknown way, TypeError for a lone array.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, TypeError, MemoryError),
    *(OverflowError, LookupError),
)
TRAIN_NAMES, TEST_NAMES, WHOLE_NAMES = ("x_train", "y_train"), ("x_test", "y_test"), ("x", "y")
SPLIT_NAMES = (*TRAIN_NAMES, *TEST_NAMES)
VALIDATION_NAMES = ("x_val", "y_val")


def load_npz(cfg: DataConf) -> Arrays:
    """Reads x_train, y_train, x_test, y_test; or x and y, of which data.test_split becomes the test set.

    x_val and y_val, beside either, are the validation part. Class names come from an array `class_names`
    if there is one. Raises DataError.
    """
    path = Path(str(cfg.path)).expanduser()
    content = read_archive(path)
    names = _class_names(content["class_names"], path) if "class_names" in content else None
    train_names = TRAIN_NAMES if "x_train" in content else WHOLE_NAMES
    test, validation = (_pair(content, names, path) for names in (TEST_NAMES, VALIDATION_NAMES))
    has_parts = train_names == WHOLE_NAMES or test is not None or validation is not None
    if not has_parts or any(name not in content for name in train_names):
        raise DataError(
            f"{path} must hold {', '.join(SPLIT_NAMES)} (or x and y), "
            f"but it holds {', '.join(sorted(content)) or 'nothing'}."
        )
    train = content[train_names[0]], content[train_names[1]]
    if test is None:
        images, labels = checked_part(train, str(path), "images")
        split = stratified_split(labels, cfg.test_split, cfg.seed)
        train, test = ((images[part], labels[part]) for part in (split.train, split.validation))
    unread = sorted(set(content) - {*train_names, *TEST_NAMES, *VALIDATION_NAMES, "class_names"})
    notes = [f"{path} has arrays that are not read: {', '.join(unread)}."] if unread else []
    return make_arrays(train, test, names, str(path), validation, notes=notes)


def _pair(
    content: dict[str, np.ndarray], names: tuple[str, str], path: Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns images and labels; None if the archive has neither. Raises DataError if it has only one."""
    lacking = [name for name in names if name not in content]
    if len(lacking) == 1:
        raise DataError(
            f"{path} must hold both {names[0]} and {names[1]} or neither, but {lacking[0]} is missing."
        )
    return None if lacking else (content[names[0]], content[names[1]])


def _class_names(names: np.ndarray, path: Path) -> list[str]:
    if names.ndim != 1 or len(names) == 0 or names.dtype.kind not in "USiu":
        raise DataError(
            f"{path} must hold class_names as a list of texts, one per class, but got {names.dtype} "
            f"{names.shape}. Save it as in class_names=numpy.array(['cat', 'dog'])."
        )
    return [
        name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in names
    ]


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """Reads every array of an .npz file. Raises DataError if it is missing, damaged or holds objects."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"data.path names {path}, which does not exist.") from error
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Check its permissions.") from error
    except _DAMAGE as error:
        raise DataError(f"{path} is not a complete .npz archive. Write or download it again.") from error
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read: {str(error).rstrip('.')}. "
            "Arrays of Python objects are not admitted: save plain numbers."
        ) from error
