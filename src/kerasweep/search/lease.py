"""Says again and again that this driver is alive, for those on other hosts, whatever its own thread does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from optuna.study import Study

from kerasweep.search.ledger import renew_lease

RENEWAL_SECONDS = 60.0


@contextmanager
def leased(study: Study) -> Iterator[None]:
    """Keep the lease fresh meanwhile: a batch, or a server that does not answer, may take hours.

    Optuna's storage may be used from several threads.
    """
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            with suppress(OSError, ValueError):  # on a full disk, say; the next minute may be better
                renew_lease(study)

    renew_lease(study)
    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
