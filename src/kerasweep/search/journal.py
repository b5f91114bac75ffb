"""Keeps each study in a journal file of Optuna's, which a torn line or a dead driver does not hurt."""

import copy
import json
import os
from collections.abc import Container, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.errors import ConfigError
from kerasweep.file_lock import locked
from kerasweep.search.storage import Storage, create_or_load

GRACE_PERIOD_SECONDS = 5
SUFFIX = ".journal"
ENDED = [state for state in TrialState if state.is_finished()]
LINE = "line"  # a name in journals: never change it


@dataclass(frozen=True)
class JournalFolder(Storage):
    """A folder with a journal for each study."""

    folder: Path

    def file(self, name: str) -> Path:
        """Returns the journal of a study."""
        return self.folder / f"{name}{SUFFIX}"

    def names(self) -> list[str]:
        return [path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")]

    def open(self, name: str, directions: Sequence[str]) -> Study:
        return open_study(self.file(name), name, directions)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        with locked(self.folder / f"{name}.lock"):
            yield

    @contextmanager
    def winner_lock(self, name: str) -> Iterator[None]:
        with locked(self.folder / f"{name}.portraits.lock"):
            yield


def _cut_torn_line(journal: Path) -> None:
    """Cuts an incomplete last line from the journal, and saves it in a file beside the journal."""
    if _is_whole(journal):
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    with open(journal.with_suffix(".torn"), "ab") as kept:
        kept.write(content[whole:] + b"\n")
    with open(journal, "r+b") as file:
        file.truncate(whole)


def _is_whole(journal: Path) -> bool:
    with open(journal, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


class MendingBackend(JournalFileBackend):
    """Optuna's journal file, which cuts a torn last line before it appends.

    A line is torn if its driver died while writing, or the disk was full. Optuna ignores it as the last
    line, but fails to read the journal once another line follows. Each line has its number: without one of
    them, Optuna would number the trials anew.
    """

    def __init__(self, file_path: str, lock_obj: JournalFileSymlinkLock) -> None:
        super().__init__(file_path, lock_obj)
        self._bytes, self._lines = 0, 0  # that are counted

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        journal = Path(self._file_path)
        self._lock.acquire()  # else a line that another driver writes now looks torn
        try:
            _cut_torn_line(journal)
            numbers = count(self._count_lines())
            numbered = ({**log, LINE: number} for log, number in zip(logs, numbers, strict=False))
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in numbered)
            with open(journal, "ab") as file:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        finally:
            self._lock.release()

    def _count_lines(self) -> int:
        """Returns the number of lines; reads what was written since the last call."""
        with open(self._file_path, "rb") as file:
            file.seek(self._bytes)
            new = file.read()
        self._bytes, self._lines = self._bytes + len(new), self._lines + new.count(b"\n")
        return self._lines

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yields the lines from this number on.

        Raises:
            ValueError: A line is no object, or it has another number than its place.
        """
        for number, log in enumerate(super().read_logs(log_number_from), start=log_number_from):
            if not isinstance(log, dict):
                raise ValueError(f"line {number + 1} is no object")
            if log.get(LINE, number) != number:  # older versions wrote no numbers
                raise ValueError(f"line {number + 1} is out of place: lines before it are missing or new")
            yield log


class CheckedJournalStorage(JournalStorage):
    """A JournalStorage that names a journal whose lines cannot be read, and lists trials quickly."""

    def __init__(self, backend: MendingBackend) -> None:
        super().__init__(backend)
        self._listed: list[FrozenTrial] = []
        self._open: dict[int, None] = {}  # the numbers of trials that had not ended

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Returns the trials of the journal's only study, as Optuna does, but looks up ended ones once."""
        with self._thread_lock:
            self._sync_with_backend()
            by_id = self._replay_result._trials
            ids = self._replay_result._study_id_to_trial_ids[study_id]
            self._open |= dict.fromkeys(range(len(self._listed), len(ids)))
            self._listed += [by_id[trial_id] for trial_id in ids[len(self._listed) :]]
            for number in self._open:
                self._listed[number] = by_id[ids[number]]
            trials = list(self._listed)
            if states is not None and not any(state in states for state in ENDED):
                trials = [trials[number] for number in self._open]
            self._open = {
                number: None for number in self._open if not self._listed[number].state.is_finished()
            }
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def _sync_with_backend(self) -> None:
        backend: Any = self._backend
        try:
            super()._sync_with_backend()  # type: ignore[no-untyped-call]
        except OptunaError:
            raise
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"The journal {backend._file_path} is damaged: {text}. Restore it, or move it away to begin "
                "the sweep anew."
            ) from error


def open_study(journal: Path, name: str, directions: Sequence[str]) -> Study:
    """Opens or creates the study in its journal.

    Args:
        journal: An absolute path.
        name: The study's name.
        directions: `maximize` or `minimize` per objective.

    Raises:
        ConfigError: The study exists with other directions, or the journal is damaged.
    """
    assert journal.is_absolute(), "a relative journal leaves a dangling lock"
    lock = JournalFileSymlinkLock(str(journal), grace_period=GRACE_PERIOD_SECONDS)
    return create_or_load(CheckedJournalStorage(MendingBackend(str(journal), lock)), name, directions)
