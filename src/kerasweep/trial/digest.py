"""Compares the data that a process reads with that of its sweep."""

from kerasweep.data.prepare import Prepared
from kerasweep.errors import DataError
from kerasweep.results import TrialRef


def check_digest(prepared: Prepared, ref: TrialRef) -> None:
    """Raises DataError if this process reads other data than its sweep."""
    if ref.data_digest not in (None, prepared.digest):
        raise DataError(
            f"This process reads other data than its sweep: the digest is {prepared.digest} here, and "
            f"{ref.data_digest} there. The files changed, or the function of data.target draws at random: "
            "restore the files, or seed its draws."
        )
