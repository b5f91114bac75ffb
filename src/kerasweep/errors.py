"""Defines the errors that a user can fix: each message says what was expected, what came and what to do."""

import errno
import signal
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

MAX_SUGGESTED, LIKE, MAX_BEHIND = 3, 0.6, 0.2
# The signals that stop a command: Ctrl-C, a scheduler's end, a terminal that is closed.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def readable(text: str) -> str:
    r"""Returns a text that can be printed and saved: bytes of file names that are no UTF-8 become escapes.

    Example:
        >>> readable("caf\udce9.png")
        'caf\\udce9.png'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def first_names(names: Sequence[str], most: int) -> str:
    """Returns the first names of a list for a message.

    Example:
        >>> first_names(["ant", "bee", "cat"], most=2)
        'ant, bee, …'
    """
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def first_line(error: BaseException) -> str:
    """Returns an error's first line without the dot at its end; its cause's if it has no text itself."""
    cause = error.__cause__ if not str(error).strip() and error.__cause__ is not None else error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return lines[0].rstrip(".:")


class KerasweepError(Exception):
    """The base class: a command prints the message and exits with code 2."""

    def __str__(self) -> str:
        return readable(super().__str__())


class ConfigError(KerasweepError):
    """The configuration cannot be run as written."""


class DataError(KerasweepError):
    """A data set is missing, damaged, or does not match the configuration."""


class ChangedError(DataError):
    """The data or the code is not what the sweep began with: it ends, and its trials are trained later."""


class UnavailableError(ConfigError):
    """Weights cannot be downloaded now: the sweep ends, and its trials are trained later."""


# The errors that all trials of a sweep have in common: the first one ends it, and no trial is lost.
SHARED_ERRORS = (ChangedError, UnavailableError)


class TrainingError(KerasweepError):
    """Training cannot continue, for example because a loss is NaN."""


class DivergedError(TrainingError):
    """A loss or an objective is not finite: the configuration is a poor one."""


class TrackingError(KerasweepError):
    """The tracking server cannot be reached, or lacks the requested run, model or file."""


class RefusedError(TrackingError):
    """The tracking server works but refuses a request, such as a forbidden name or a deleted run."""


class UnreachableError(TrackingError):
    """The tracking server does not answer."""


class StorageError(KerasweepError):
    """A file cannot be written, for example because the disk is full."""


# The errors of a disk that is full, limited or read-only.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def disk_advice(error: OSError) -> str:
    """Returns what the user can do about a file that cannot be written, as the end of a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space on its disk"
    if error.errno == errno.EFBIG:
        return "allow larger files, see ulimit -f"
    return "make it writable"


class SweepStopped(Exception):
    """The user stopped a sweep, and its running trials have ended."""


class Terminated(KeyboardInterrupt):
    """A signal arrived, as schedulers or a closed terminal send it: a single run ends as after Ctrl-C."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Returns a sentence such as `Did you mean model.kernel_size?`.

    Args:
        name: A misspelt name.
        known: All valid names. Their last parts are compared.
        otherwise: The sentence if no valid name is similar.
    """
    alike = sorted((-_likeness(name, valid), valid) for valid in set(known))
    least = max(LIKE, -alike[0][0] - MAX_BEHIND) if alike else LIKE
    near = [valid for score, valid in alike[:MAX_SUGGESTED] if -score >= least]
    return f"Did you mean {' or '.join(near)}?" if near else otherwise


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.rpartition(".")[2], other.rpartition(".")[2]).ratio()
