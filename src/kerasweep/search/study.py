"""Names and opens a sweep's Optuna study in its journal file, and locks it."""

import fcntl
import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study, StudyDirection

from kerasweep.errors import ConfigError, DataError

GRACE_PERIOD_SECONDS = 5
DATA_DIGESTS, BEGUN_WITH, SOURCES = "data_digests", "begun_with", "sources"
SETTINGS = "settings"
# Of older versions, for the data that all trials share.
DATA_DIGEST = "data_digest"


def sweep_hash(definition: Mapping[str, Any]) -> str:
    """Returns eight hex digits, equal for equal definitions in any order of their keys."""
    text = json.dumps(definition, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def sweep_name(folder: Path, study: str, digest: str, fresh: bool) -> str:
    """Returns the sweep's id: `STUDY-HASH`, or `STUDY-HASH-2` and so on for later generations.

    Args:
        folder: The folder of the journals.
        study: The study's name.
        digest: The sweep's hash.
        fresh: Whether to begin the next generation instead of continuing the newest.
    """
    base = f"{study}-{digest}"
    pattern = re.compile(re.escape(base) + r"(?:-(\d+))?\.journal")
    paths = folder.glob(f"{glob.escape(base)}*.journal")
    matches = [match for path in paths if (match := pattern.fullmatch(path.name))]
    newest = max((int(match[1] or 1) for match in matches), default=0)
    generation = max(newest + 1 if fresh else newest, 1)
    return base if generation == 1 else f"{base}-{generation}"


@contextmanager
def sweep_lock(journal: Path) -> Iterator[None]:
    """Holds the sweep's lock; the kernel frees it when its owner dies."""
    with _locked(journal.with_suffix(".lock")):
        yield


@contextmanager
def winner_lock(journal: Path) -> Iterator[None]:
    """Holds the lock for recording and testing a sweep's best models; other drivers go on training."""
    with _locked(journal.with_suffix(".portraits.lock")):
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
    line, but fails to read the journal once another line follows.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        journal = Path(self._file_path)
        self._lock.acquire()  # else a line that another driver writes now looks torn
        try:
            _cut_torn_line(journal)
            with open(journal, "ab") as file:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        finally:
            self._lock.release()


def open_study(journal: Path, name: str, directions: Sequence[str]) -> Study:
    """Opens or creates the study in its journal.

    Args:
        journal: An absolute path.
        name: The study's name.
        directions: `maximize` or `minimize` per objective.

    Raises:
        ConfigError: The study exists with other directions, or the journal is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert journal.is_absolute(), "a relative journal leaves a dangling lock"
    lock = JournalFileSymlinkLock(str(journal), grace_period=GRACE_PERIOD_SECONDS)
    try:
        storage = JournalStorage(MendingBackend(str(journal), lock_obj=lock))
        study = _create(name, storage, directions)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"The journal {journal} is damaged: {error}. Restore it, or move it away to begin the sweep anew."
        ) from error
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise ConfigError(
            f"The study {name} was begun with the directions {there}, but {list(directions)} were asked for. "
            "Begin anew with study.fresh=true."
        )
    return study


def _create(name: str, storage: JournalStorage, directions: Sequence[str]) -> Study:
    return optuna.create_study(
        study_name=name,
        storage=storage,
        directions=[StudyDirection[direction.upper()] for direction in directions],
        load_if_exists=True,
    )


def check_and_save_digests(study: Study, digests: Mapping[str, str]) -> None:
    """Saves the digests of the study's data. Raises DataError if some has changed since the first trial.

    Args:
        study: The study.
        digests: Of each data set, by a text that names it.
    """
    saved, older = study.user_attrs.get(DATA_DIGESTS, {}), study.user_attrs.get(DATA_DIGEST)
    for source, digest in digests.items():
        earlier = saved.get(source, older)
        if earlier not in (None, digest) and study.get_trials(deepcopy=False):
            raise DataError(
                f"The data of {study.study_name} has changed since it began: its digest was {earlier}, "
                f"now it is {digest}. Restore the data, or begin anew with study.fresh=true."
            )
    if {**saved, **digests} != saved:
        study.set_user_attr(DATA_DIGESTS, {**saved, **digests})


def check_and_save_sources(
    study: Study, sources: Mapping[str, str], older: Callable[[], Mapping[str, str]] = dict
) -> None:
    """Saves the digests of the user's code. Raises ConfigError if it has changed since the first trial.

    Args:
        study: The study.
        sources: By key and target, such as `model.target=nets:small`, the digest of its module.
        older: Returns the same as older versions computed them. Called if some have changed.
    """
    changed = _changed(study, SOURCES, sources)
    if changed and not older().items() >= {name: study.user_attrs[SOURCES][name] for name in changed}.items():
        raise ConfigError(
            f"The code of {changed[0]} has changed since {study.study_name} began, and its trials are of the "
            "old code. Restore the file to go on with these, or begin anew with study.fresh=true."
        )
    _save(study, SOURCES, sources)


def check_and_save_settings(study: Study, settings: Mapping[str, str]) -> None:
    """Saves the digests of settings. Raises ConfigError if they have changed since the first trial.

    Args:
        study: The study.
        settings: By group or option, such as `regularizer=l2`, the digest of its content.
    """
    changed = _changed(study, SETTINGS, settings)
    if changed:
        raise ConfigError(
            f"The settings of {changed[0]} have changed since {study.study_name} began, and its trials have "
            "the old ones. Restore them to go on with these, or begin anew with study.fresh=true."
        )
    _save(study, SETTINGS, settings)


def _changed(study: Study, attribute: str, digests: Mapping[str, str]) -> list[str]:
    """Returns the names whose digest differs from the saved one, or is gone; none before the first trial."""
    saved = study.user_attrs.get(attribute, {})
    changed = [name for name, digest in saved.items() if digests.get(name) != digest]
    return changed if changed and study.get_trials(deepcopy=False) else []


def _save(study: Study, attribute: str, digests: Mapping[str, str]) -> None:
    if digests != study.user_attrs.get(attribute, {}):
        study.set_user_attr(attribute, dict(digests))


def save_first_choices(study: Study, choices: Mapping[str, str]) -> Mapping[str, str]:
    """Saves the choices if the study has no trial yet, and returns the ones that it was begun with.

    Args:
        study: The study.
        choices: The present choices by name, which may change during a sweep.

    Returns:
        Empty for a study of an older version, which did not save them.
    """
    if not study.get_trials(deepcopy=False):
        study.set_user_attr(BEGUN_WITH, dict(choices))
    begun: Mapping[str, str] = study.user_attrs.get(BEGUN_WITH, {})
    return begun
