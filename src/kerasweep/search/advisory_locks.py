"""Holds PostgreSQL's advisory locks, and notices that one has ended with its connection."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.event import listen

from kerasweep.search.storage import LockLostError

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 0.5
LOST_LOCK = "the database was restarted, and the lock of the sweep with it"


class AdvisoryLocks:
    """The locks of an engine's only connection. SQLAlchemy opens another one in silence: they are counted."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holder: tuple[int, int] | None = None  # the thread with a lock, and the lock's connection
        self._connections = 0  # opened so far
        listen(engine, "connect", self._count_connection)
        engine.dispose()  # connections are counted from now on

    @contextmanager
    def held(self, name: str, wait: Callable[..., Any]) -> Iterator[None]:
        """Holds a lock.

        Between two attempts the connection is free for other threads, such as the one that renews the lease.
        To wait in the server for a time only (lock_timeout) may leave the lock with a session that gave up.

        Args:
            name: Tells locks apart.
            wait: Calls a function with arguments, and again while the database is away.

        Raises:
            LockLostError: The lock had ended before its block did.
        """
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        pause = FIRST_PAUSE_SECONDS
        while not wait(self._take, key):
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
        outer, self._holder = self._holder, (threading.get_ident(), self._connections)
        try:
            yield
        finally:
            self._holder = outer
            was_held = wait(self._free, key)
        if not was_held:
            raise LockLostError(LOST_LOCK)

    def check(self) -> None:
        """Raises LockLostError, once, if this thread held a lock, which has ended with its connection."""
        holder, connection = self._holder or (None, None)
        if holder == threading.get_ident() and connection != self._connections:
            self._holder = None
            raise LockLostError(LOST_LOCK)

    def _take(self, key: int) -> bool:
        return self._ask("SELECT pg_try_advisory_lock(:key)", key)

    def _free(self, key: int) -> bool:
        return self._ask("SELECT pg_advisory_unlock(:key)", key)

    def _ask(self, statement: str, key: int) -> bool:
        with self._engine.begin() as connection:
            return bool(connection.execute(text(statement), {"key": key}).scalar())

    def _count_connection(self, *_: Any) -> None:
        self._connections += 1
