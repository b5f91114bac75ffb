"""Chooses the storage that the configuration names."""

from pathlib import Path

from kerasweep.config.search import StorageConf
from kerasweep.search.journal import JournalFolder
from kerasweep.search.storage import Storage

DEFAULT_FOLDER = "mlruns/studies"


def open_storage(cfg: StorageConf) -> Storage:
    """Returns the storage of cfg.storage. Nothing is opened before it is used."""
    folder = Path(cfg.path or DEFAULT_FOLDER).absolute()
    if cfg.url is None:
        return JournalFolder(folder)
    from kerasweep.search.database import Database, absolute  # SQLAlchemy takes a while to import

    return Database(absolute(cfg.url), folder)
