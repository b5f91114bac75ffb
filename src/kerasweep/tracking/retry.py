"""Calls MLflow: retries for a minute where an error may pass, and turns other errors into one sentence."""

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kerasweep.config.passwords import without_password
from kerasweep.errors import RefusedError, TrackingError, UnreachableError

# How long a call is retried while the database is locked or the server is away; and how long a server may
# take to answer: it may pass a model on to a slow store.
WAITING_SECONDS, ANSWER_SECONDS = 60, 60
CONNECT_SECONDS = 8
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
MAX_REASON_CHARACTERS = 300
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")
LOCKED, SILENT = "database is locked", "timed out"
DRIVER_ERROR = re.compile(r"^\(\w+\.\w+\) ")  # SQLAlchemy begins with it, as in (sqlite3.OperationalError)
# MLflow's requests read these; by default they would retry for many minutes.
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
# Not retried if the answer was lost: the run may exist already.
ONCE = ("create_run",)
AGAIN = "Start it again, and then this command."
HELD = "Another program holds it: start this command again once that has ended."
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
            is_away = is_away and not (call.__name__ in ONCE and _lost_the_answer(error))
            if not (is_away or LOCKED in str(error)) or time.monotonic() >= deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if is_away else pause


@contextmanager
def tracking_errors(uri: str, advice: str = "") -> Iterator[None]:
    """Turns errors of MLflow and of its database into a TrackingError that names the URI.

    Args:
        uri: The tracking URI.
        advice: What the user should do if MLflow cannot be used at all.

    Raises:
        RefusedError: MLflow works, but refuses the value it was given.
        UnreachableError: The server does not answer, or another program locks the database.
        TrackingError: Anything else.
    """
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error) as error:
        kind, verb = TrackingError, "cannot be used" if advice else "says"
        if getattr(error, "error_code", None) in REFUSALS:
            kind = RefusedError
        elif LOCKED in str(error):
            kind, advice = UnreachableError, HELD
        elif _failed_request(error) is not None or _lost_database(error):
            kind, verb = UnreachableError, verb if advice else "can no longer be used"
            advice = advice or AGAIN
        text = f"MLflow at {without_password(uri)} {verb}: {_reason(error)}. {advice}"
        raise kind(text.strip()) from error


def _failed_request(error: BaseException) -> BaseException | None:
    """Returns the request that got no answer, or only a server error; None for another kind of error."""
    from requests.exceptions import RequestException

    request = error.__context__
    return request if isinstance(request, RequestException) and request.response is None else None


def _lost_database(error: BaseException) -> bool:
    """Whether a database server, not a file, has ended the connection or refuses one."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    causes = (error, error.__cause__, error.__context__)
    lost = (cause for cause in causes if isinstance(cause, OperationalError | InterfaceError))
    return any(not isinstance(cause.orig, sqlite3.Error) for cause in lost)


def _reason(error: Exception) -> str:
    """Returns the innermost cause of a failed request, else the error's first line."""
    request = _failed_request(error)
    text = str(error) if request is None else _innermost(request)
    line = (text.strip() or type(error).__name__).splitlines()[0]
    return DRIVER_ERROR.sub("", line)[:MAX_REASON_CHARACTERS].rstrip(". ")


def _innermost(error: BaseException) -> str:
    """Returns the message of the innermost of nested errors, without the repr of its object."""
    *_, last = _chain(error)
    return re.sub(r"^\w+\(.*?\): ", "", str(last.args[-1] if last.args else ""))


def _lost_the_answer(error: TrackingError) -> bool:
    """Whether the server closed the connection after the request: it may have done the work."""
    request = _failed_request(error.__cause__) if error.__cause__ else None
    return request is not None and any(isinstance(cause, ConnectionResetError) for cause in _chain(request))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields nested errors, each the reason or last argument of the one before, from the outside in."""
    inner: Any = error
    while isinstance(inner, BaseException):
        yield inner
        inner = getattr(inner, "reason", inner.args[-1] if inner.args else None)


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
