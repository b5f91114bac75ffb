"""Writes the files of a comparison whole, so that no reader meets half of one."""

import errno
import os
from pathlib import Path

from kerasweep.errors import ConfigError


def write_whole(path: Path, text: str, key: str) -> None:
    """Write to a temporary name first. Raises ConfigError, which names the key that chose the file."""
    try:
        place = path.resolve()  # what a link leads to, not the link
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if place.exists() and not place.is_file():
            raise OSError(errno.EINVAL, "It is no regular file")
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.new")
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(place)
    except OSError as error:
        raise ConfigError(
            f"{key}={path} cannot be written: {error.strerror}. Name another file, as in {key}=runs.{key}."
        ) from error
