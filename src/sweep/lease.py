"""Says again and again that this driver is alive, for those on other hosts, whatever its own thread does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.study import Study

from src.sweep.ledger import renew_lease
from src.sweep.study import sweep_lock

RENEWAL_SECONDS = 60.0


@contextmanager
def leased(study: Study, journal: Path) -> Iterator[None]:
    """Keep the lease fresh meanwhile: a batch, or a server that does not answer, may take hours.

    Optuna's storage may be used from several threads.
    """
    ended = threading.Event()

    def renew() -> None:
        with sweep_lock(journal):
            renew_lease(study)

    def keep() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            with suppress(OSError, ValueError):  # on a full disk, say; the next minute may be better
                renew()

    renew()
    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
