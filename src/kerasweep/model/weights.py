"""Names the weights of a backbone by their content. Nothing here imports Keras."""

import hashlib
from functools import cache
from pathlib import Path

from kerasweep.errors import ConfigError

IMAGENET = "imagenet"
SUFFIXES = (".weights.h5", ".keras", ".h5")
DIGITS = 24


def is_weights_file(weights: object) -> bool:
    """Whether the key model.weights names a file that exists."""
    return isinstance(weights, str) and weights != IMAGENET and Path(weights).expanduser().is_file()


def weights_identity(weights: str | None) -> str:
    """Returns `null`, `imagenet`, or the digest of a file, equal for equal bytes.

    Args:
        weights: The key model.weights.

    Raises:
        ConfigError: There is no such file, or its name has another ending than Keras's files.
    """
    if weights is None or weights == IMAGENET:
        return weights or "null"
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"model.weights must be null, imagenet or a file of weights, but there is no file {weights}. "
            "Give its path, as in model.weights=backbone.weights.h5."
        )
    if not path.name.endswith(SUFFIXES):
        raise ConfigError(
            f"model.weights must end in {', '.join(SUFFIXES)}, but got {weights}. "
            "Save the backbone with backbone.save_weights('backbone.weights.h5')."
        )
    state = path.stat()
    return _digest(path.absolute(), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@cache
def _digest(path: Path, size: int, modified: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
