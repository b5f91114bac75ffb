"""The errors a user can mend: each message says what was expected, what came and what to do."""


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


class StorageError(KerasweepError):
    """Something cannot be written, because a disk is full perhaps."""


class SweepStopped(Exception):
    """The user stopped a sweep, and the trials that were under way have ended."""
