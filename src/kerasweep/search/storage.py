"""Declares what keeps the studies of sweeps, and locks them for their drivers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection

from kerasweep.errors import ConfigError


class LockLostError(OSError):
    """The database ended the connection that held a lock: another driver may hold it now."""


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
            LockLostError: Inside the block, when the lock is lost: begin the block again.
        """

    @abstractmethod
    def winner_lock(self, name: str) -> AbstractContextManager[None]:
        """Holds the lock for recording and testing a sweep's best models; other drivers go on training."""

    def spool(self, name: str) -> Path:
        """Returns the folder of a sweep's results that MLflow has not taken yet."""
        return self.folder / f"{name}.spool"


def create_or_load(storage: BaseStorage, name: str, directions: Sequence[str]) -> Study:
    """Returns a study of an Optuna storage. Raises ConfigError if it exists with other directions."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=[StudyDirection[direction.upper()] for direction in directions],
        load_if_exists=True,
    )
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise ConfigError(
            f"The study {name} was begun with the directions {there}, but {list(directions)} were asked for. "
            "Begin anew with study.fresh=true."
        )
    return study
