"""The errors a user can mend: each message says what was expected, what came and what to do."""

from collections.abc import Iterable
from difflib import SequenceMatcher

MAX_SUGGESTED, LIKE = 3, 0.6


class KerasweepError(Exception):
    """The family's root: a command that meets one prints its message and exits with code 2."""


class ConfigError(KerasweepError):
    """The configuration cannot be run as written."""


class DataError(KerasweepError):
    """A data set is missing, damaged or not what the configuration says."""


class TrainingError(KerasweepError):
    """Training came to a state that no further epoch can mend, such as a loss that is NaN."""


class TrackingError(KerasweepError):
    """The tracking server cannot be reached, or does not hold what was asked for."""


class RefusedError(TrackingError):
    """The tracking server works but does not take this: a name it forbids, or a run that was deleted."""


class UnreachableError(TrackingError):
    """The tracking server was there, and can no longer be asked."""


class StorageError(KerasweepError):
    """Something cannot be written, because a disk is full perhaps."""


class SweepStopped(Exception):
    """The user stopped a sweep, and the trials that were under way have ended."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as schedulers and containers send it: a single run ends as after Ctrl-C."""


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """As in `Did you mean model.kernel_size?`: the known names that end like a misspelt one."""
    alike = sorted((-_likeness(name, each), each) for each in set(known))
    near = [each for score, each in alike[:MAX_SUGGESTED] if -score >= LIKE]
    return f"Did you mean {' or '.join(near)}?" if near else otherwise


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.rpartition(".")[2], other.rpartition(".")[2]).ratio()
