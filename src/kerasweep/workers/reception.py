"""Where worker processes report: a socket for each, so that what a dying one said is whole or absent."""

import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

from kerasweep.workers.worker import Hello


@dataclass(frozen=True)
class Closed:
    """A worker's connection has ended: what it had to say before has been heard."""

    worker: int
    pid: int


class Reception:
    """Takes connections, and puts what comes over them into a queue, each with its worker's number.

    First (worker, Hello, connection), then (worker, message) for each, at last (worker, Closed).
    unreadable: called with the process's Hello and the reason where a message cannot be read.
    """

    def __init__(self, events: queue.SimpleQueue[Any], unreadable: Callable[[Hello, str], None]) -> None:
        self.key = secrets.token_bytes(16)
        self._events = events
        self._unreadable = unreadable
        self._listener = Listener(authkey=self.key)
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> Any:
        """Where a process of this machine connects to."""
        return self._listener.address

    def close(self) -> None:
        self._is_closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                connection = self._listener.accept()
                hello = connection.recv()
            except (OSError, EOFError, AuthenticationError):
                continue  # a process that died on the way, or `close`
            threading.Thread(target=self._read, args=(connection, hello), daemon=True).start()

    def _read(self, connection: Connection, hello: Hello) -> None:
        self._events.put((hello.worker, hello, connection))
        try:
            while True:
                self._events.put((hello.worker, connection.recv()))
        except (EOFError, OSError):
            pass
        except Exception as error:  # of a class that this process cannot make
            self._unreadable(hello, f"what it sent cannot be read: {type(error).__name__}: {error}")
        self._events.put((hello.worker, Closed(hello.worker, hello.pid)))
