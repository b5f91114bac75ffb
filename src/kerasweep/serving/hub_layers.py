"""Imports KerasHub for networks with layers of it, which Keras finds only then."""

from pathlib import Path
from zipfile import ZipFile

PACKAGE = "keras_hub"


def import_hub_layers(path: Path) -> None:
    """Imports KerasHub if a `.keras` file names it.

    Raises:
        ModuleNotFoundError: It is not installed.
        KeyError, OSError, zipfile.BadZipFile: The file is no whole `.keras` file.
    """
    with ZipFile(path) as archive:
        names_it = PACKAGE.encode() in archive.read("config.json")
    if names_it:
        import keras_hub  # noqa: F401
