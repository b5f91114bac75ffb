"""Calls MLflow: waits a minute for what may pass, and says in a sentence what does not."""

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kerasweep.errors import RefusedError, TrackingError, UnreachableError
from kerasweep.tracking.location import without_password

# How long a database is waited for that another process keeps locked, or a server that is away; and what
# a server may take for an answer: it may pass a model on to a slow store.
WAITING_SECONDS, ANSWER_SECONDS = 60, 60
CONNECT_SECONDS = 8
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
MAX_REASON_CHARACTERS = 300
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")
LOCKED, SILENT = "database is locked", "timed out"
# Read by MLflow's own requests; of themselves they would go on for many minutes.
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
# Not to be done twice: where the answer was lost, a run may be there already.
ONCE = ("create_run",)
AGAIN = "Start it again, and then this command."
T = TypeVar("T")

_environment = threading.RLock()


def with_retries(uri: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call MLflow; a locked database is waited for, and a server that is away, a minute at most.

    A server that takes a call and says nothing has that minute for its answer. Where the environment says
    how often MLflow asks again, it does, instead. Raises TrackingError; see tracking_errors.
    """
    deadline, pause = 0.0, FIRST_PAUSE_SECONDS
    while True:
        asks_again = False
        try:
            with tracking_errors(uri), _patience(uri) as asks_again:
                return call(*arguments, **options)
        except TrackingError as error:
            deadline = deadline or time.monotonic() + WAITING_SECONDS
            is_away = isinstance(error, UnreachableError) and asks_again and SILENT not in str(error)
            is_away = is_away and not (call.__name__ in ONCE and _lost_the_answer(error))
            if not (is_away or LOCKED in str(error)) or time.monotonic() >= deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if is_away else pause


@contextmanager
def tracking_errors(uri: str, advice: str = "") -> Iterator[None]:
    """Turn what MLflow and the database below it raise into a TrackingError that names the URI.

    It is a RefusedError where MLflow works, but does not take what it was given; an UnreachableError where
    a server cannot be asked. advice: what to do where MLflow cannot be used at all.
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
        elif not advice and _failed_request(error) is not None:
            kind, verb, advice = UnreachableError, "can no longer be used", AGAIN
        text = f"MLflow at {without_password(uri)} {verb}: {_reason(error)}. {advice}"
        raise kind(text.strip()) from error


def _failed_request(error: BaseException) -> BaseException | None:
    """The request that got no answer, or none but that the server is not well."""
    from requests.exceptions import RequestException

    request = error.__context__
    return request if isinstance(request, RequestException) and request.response is None else None


def _reason(error: Exception) -> str:
    """The innermost cause of a request that failed, else the error's first line."""
    request = _failed_request(error)
    text = str(error) if request is None else _innermost(request)
    line = (text.strip() or type(error).__name__).splitlines()[0]
    return line[:MAX_REASON_CHARACTERS].rstrip(". ")


def _innermost(error: BaseException) -> str:
    """What the last one says of errors that hold each other, without its object."""
    *_, last = _chain(error)
    return re.sub(r"^\w+\(.*?\): ", "", str(last.args[-1] if last.args else ""))


def _lost_the_answer(error: TrackingError) -> bool:
    """Whether the server was reached, and hung up: it may have done what it was asked."""
    request = _failed_request(error.__cause__) if error.__cause__ else None
    return request is not None and any(isinstance(each, ConnectionResetError) for each in _chain(request))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Errors that hold each other as reason or argument, the outermost first."""
    inner: Any = error
    while isinstance(inner, BaseException):
        yield inner
        inner = getattr(inner, "reason", inner.args[-1] if inner.args else None)


@contextmanager
def without_retries() -> Iterator[None]:
    """Ask a server once and wait for seconds."""
    with _variables({RETRIES: "0", TIMEOUT: str(CONNECT_SECONDS)}):
        yield


@contextmanager
def _patience(uri: str) -> Iterator[bool]:
    """Have MLflow ask a server once, and wait as long as the environment says, else a minute.

    Yields whether `with_retries` is to ask again: not where the environment says how often MLflow does.
    """
    if urlsplit(uri).scheme not in ("http", "https"):
        yield False
        return
    with _environment:
        wanted = {RETRIES: "0", TIMEOUT: str(ANSWER_SECONDS)}
        own = {name: value for name, value in wanted.items() if name not in os.environ}
        with _variables(own):
            yield RETRIES in own


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; another thread that wants to has to wait."""
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
