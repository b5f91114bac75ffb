"""Names the weights of a backbone by their content. Nothing here imports Keras."""

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path

from omegaconf import DictConfig

from kerasweep.config.backbones import HUB, preset_folder
from kerasweep.errors import ConfigError

IMAGENET = "imagenet"
SUFFIXES = (".weights.h5", ".keras", ".h5")
DIGITS = 24


def is_weights_file(weights: object) -> bool:
    """Whether the key model.weights names a file that exists."""
    return isinstance(weights, str) and weights != IMAGENET and Path(weights).expanduser().is_file()


def backbone_identity(model: DictConfig) -> str:
    """Names the weights with which a backbone begins, and a preset of KerasHub, by their content.

    Args:
        model: The group `model`, with architecture=backbone.

    Raises:
        ConfigError: As `weights_identity`.
    """
    weights = weights_identity(model.weights)
    if not model.backbone.startswith(HUB):
        return weights
    folder = preset_folder(model.backbone)
    preset = f"KerasHub {version('keras-hub')}" if folder is None else folder_identity(folder)
    return f"{weights} {preset}"


def folder_identity(folder: Path) -> str:
    """Returns a digest of the files of a preset, equal for equal bytes."""
    digests = {path.name: _digest_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:DIGITS]


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
    return _digest_of(path)


def _digest_of(path: Path) -> str:
    state = path.stat()
    return _digest(path.absolute(), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@cache
def _digest(path: Path, size: int, modified: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
