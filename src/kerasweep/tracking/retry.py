"""Calls MLflow, and retries for a minute where an error may pass."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.tracking.failures import is_held, lost_the_answer, tracking_errors

# How long a call is retried while the database is locked or the server is away; and how long a server may
# take to answer: it may pass a model on to a slow store.
WAITING_SECONDS, ANSWER_SECONDS = 60, 60
CONNECT_SECONDS = 8
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
SILENT = "timed out"
# MLflow's requests read these; by default they would retry for many minutes.
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
# Not retried if the answer was lost: the run or the version may exist already.
ONCE = ("create_run", "create_model_version")
T = TypeVar("T")

_environment = threading.RLock()
_waits: ContextVar[bool] = ContextVar("waits", default=True)


@contextmanager
def at_once() -> Iterator[None]:
    """Makes `with_retries` call MLflow once inside the block: the caller has other work meanwhile."""
    token = _waits.set(False)
    try:
        yield
    finally:
        _waits.reset(token)


def with_retries(uri: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Calls MLflow, and retries for at most a minute while the database is locked or the server is away.

    Inside `at_once` it does not retry. SQLite waits for a lock itself, 20 s in MLflow's calls: the minute
    includes this.

    The server may take another minute to answer a request; a request that times out is not retried. If the
    environment sets MLflow's own number of retries, MLflow retries instead.

    Args:
        uri: The tracking URI, for messages and to tell a server from a database.
        call: A function of MLflow, called with `arguments` and `options`.

    Raises:
        TrackingError: The call failed; see `tracking_errors`.
    """
    deadline = time.monotonic() + (WAITING_SECONDS if _waits.get() else 0.0)
    pause = FIRST_PAUSE_SECONDS
    while True:
        asks_again = False
        try:
            with tracking_errors(uri), _one_request(uri) as asks_again:
                return call(*arguments, **options)
        except TrackingError as error:
            is_away = isinstance(error, UnreachableError) and asks_again and SILENT not in str(error)
            is_away = is_away and not (call.__name__ in ONCE and lost_the_answer(error))
            if not (is_away or is_held(error)) or time.monotonic() >= deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if is_away else pause


@contextmanager
def without_retries() -> Iterator[None]:
    """Makes MLflow ask a server once, with a timeout of a few seconds."""
    with _variables({RETRIES: "0", TIMEOUT: str(CONNECT_SECONDS)}):
        yield


@contextmanager
def _one_request(uri: str) -> Iterator[bool]:
    """Makes MLflow ask a server once, with a timeout of a minute unless the environment sets one.

    Yields whether `with_retries` should retry: not if the environment sets MLflow's own number of retries.
    """
    if urlsplit(uri).scheme not in ("http", "https"):
        yield False
        return
    with _environment:
        wanted = {RETRIES: "0", TIMEOUT: str(ANSWER_SECONDS)}
        unset = {name: value for name, value in wanted.items() if name not in os.environ}
        with _variables(unset):
            yield RETRIES in unset


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables inside the block; other threads wait for their turn."""
    with _environment:
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
