"""How long a sweep has been at work, restarts included."""

import time
from contextlib import suppress
from pathlib import Path

from optuna.study import Study

from kerasweep.search.study import sweep_lock

HOURS_USED = "hours_used"
NOTED_SECONDS = 60.0


class Hours:
    """The hours of a sweep; they are noted in its study each minute, for the next start."""

    def __init__(self, study: Study, journal: Path) -> None:
        self._study = study
        self._journal = journal
        self._begun = time.monotonic()
        self._noted_at = self._begun
        self._before = self._noted()

    def used(self) -> float:
        """Those of this start and of the ones before it."""
        return self._before + (time.monotonic() - self._begun) / 3600

    def note(self) -> None:
        """Write them down. Those that several drivers share are counted once."""
        self._noted_at = time.monotonic()
        with suppress(OSError), sweep_lock(self._journal):
            self._study.set_user_attr(HOURS_USED, max(self._noted(), self.used()))

    def note_sometimes(self) -> None:
        """Write them down if that was a minute ago."""
        if time.monotonic() - self._noted_at > NOTED_SECONDS:
            self.note()

    def _noted(self) -> float:
        return float(self._study.user_attrs.get(HOURS_USED, 0.0))
