"""Declares what keeps the studies of sweeps, and locks them for their drivers."""

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection

from kerasweep.errors import ConfigError, StorageError
from kerasweep.file_lock import locked

T = TypeVar("T")
PLACE = "place"  # a file with the id of its folder


class OtherDirectionsError(ConfigError):
    """A study exists with other directions than those asked for."""

    def __init__(self, name: str, there: Sequence[str], asked: Sequence[str]) -> None:
        super().__init__(
            f"The study {name} was begun with the directions {list(there)}, but {list(asked)} were asked "
            "for. Begin anew with study.fresh=true."
        )
        self.directions = there


class LockLostError(StorageError):
    """The database ended the connection that held a lock: another driver may hold it now."""


def under_lock(lock: Callable[[], AbstractContextManager[None]], call: Callable[[], T]) -> T:
    """Calls a function that may be called again with a lock held, and again if the lock is lost meanwhile."""
    while True:
        try:
            with lock():
                return call()
        except LockLostError:
            continue


class Storage(ABC):
    """Keeps studies. All drivers of a sweep have the same, on one machine or on many.

    Attributes:
        folder: The folder on this machine for what is no part of a study. An absolute path.
    """

    folder: Path

    @abstractmethod
    def names(self) -> list[str]:
        """Returns the names of all studies."""

    @abstractmethod
    def open(self, name: str, directions: Sequence[str]) -> Study:
        """Opens or creates a study.

        Args:
            name: The study's name.
            directions: `maximize` or `minimize` per objective.

        Raises:
            ConfigError: The study exists with other directions, or it is damaged.
            StorageError: The storage cannot be used.
        """

    @abstractmethod
    def lock(self, name: str) -> AbstractContextManager[None]:
        """Holds the lock of a sweep; it is free once its owner has died.

        Raises:
            LockLostError: Inside the block or at its end, when the lock is lost: begin the block again, as
                `under_lock` does.
        """

    @abstractmethod
    def winner_lock(self, name: str) -> AbstractContextManager[None]:
        """Holds the lock for recording and testing a sweep's best models; other drivers go on training."""

    def place(self) -> dict[str, str]:
        """Identifies `folder`, wherever it is moved, and says to the user where it is."""
        file = self.folder / PLACE
        with locked(self.folder / f"{PLACE}.lock"):
            if not file.exists() or not file.read_text():  # an older version left it empty on a full disk
                unfinished = file.with_suffix(".unfinished")
                unfinished.write_text(uuid4().hex)
                os.replace(unfinished, file)
        return {"id": file.read_text(), "host": socket.gethostname(), "folder": str(self.folder)}

    def spool(self, name: str) -> Path:
        """Returns the folder of a sweep's results that MLflow has not taken yet."""
        return self.folder / f"{name}.spool"


def create_or_load(storage: BaseStorage, name: str, directions: Sequence[str]) -> Study:
    """Returns a study of an Optuna storage. Raises OtherDirectionsError if it has other directions."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=[StudyDirection[direction.upper()] for direction in directions],
        load_if_exists=True,
    )
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise OtherDirectionsError(name, there, directions)
    return study
