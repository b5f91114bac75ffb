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
SPLIT_NAMES = ("x_train", "y_train", "x_test", "y_test")
VALIDATION_NAMES = ("x_val", "y_val")


def load_npz(cfg: DataConf) -> Arrays:
    """Reads x_train, y_train, x_test, y_test; or x and y, of which data.test_split becomes the test set.

    x_val and y_val, beside the former, are the validation part. Class names come from an array `class_names`
    if there is one. Raises DataError.
    """
    path = Path(str(cfg.path)).expanduser()
    content = read_archive(path)
    names = [str(name) for name in content["class_names"]] if "class_names" in content else None
    if all(name in content for name in SPLIT_NAMES):
        x_train, y_train, x_test, y_test = (content[name] for name in SPLIT_NAMES)
        lacking = [name for name in VALIDATION_NAMES if name not in content]
        if len(lacking) == 1:
            raise DataError(f"{path} must hold both x_val and y_val or neither, but {lacking[0]} is missing.")
        validation = None if lacking else (content["x_val"], content["y_val"])
        return make_arrays((x_train, y_train), (x_test, y_test), names, str(path), validation)
    if "x" in content and "y" in content:
        images, labels = checked_part((content["x"], content["y"]), str(path), "images")
        split = stratified_split(labels, cfg.test_split, cfg.seed)
        parts = [(images[part], labels[part]) for part in (split.train, split.validation)]
        return make_arrays(parts[0], parts[1], names, str(path))
    raise DataError(
        f"{path} must hold {', '.join(SPLIT_NAMES)} (or x and y), "
        f"but it holds {', '.join(sorted(content)) or 'nothing'}."
    )


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
