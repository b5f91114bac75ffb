"""Turns errors of MLflow, of its database and of its artifact store into one sentence."""

import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from kerasweep.config.passwords import without_password
from kerasweep.errors import RefusedError, TrackingError, UnreachableError

MAX_REASON_CHARACTERS = 300
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")
# The database cannot be used now, and soon it may be: others hold it, or all connections of the server to it.
LOCKED, CROWDED = "database is locked", "QueuePool limit"
DRIVER_ERROR = re.compile(r"^\(\w+\.\w+\) ")  # SQLAlchemy begins with it, as in (sqlite3.OperationalError)
# The errors of the clients of artifact stores, which are installed only where they are used.
STORES = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "boto3.exceptions": ("Boto3Error",),
    "google.api_core.exceptions": ("GoogleAPIError",),
    "azure.core.exceptions": ("AzureError",),
}
ARTIFACTS_ENDPOINT = "/mlflow-artifacts/"
AGAIN = "Start it again, and then this command."
HELD = "Another program holds it: start this command again once that has ended."
TOO_MANY = (
    "Too many write at once: start the server with a larger MLFLOW_SQLALCHEMYSTORE_POOL_SIZE, and then this "
    "command again."
)


@contextmanager
def tracking_errors(uri: str, advice: str = "") -> Iterator[None]:
    """Turns errors of MLflow, its database and its artifact store into a TrackingError that names the URI.

    Args:
        uri: The tracking URI.
        advice: What the user should do if MLflow cannot be used at all.

    Raises:
        RefusedError: MLflow works, but refuses the value it was given.
        UnreachableError: The server or the store does not answer, or another program locks the database.
        TrackingError: Anything else, such as a store that denies access.
    """
    try:
        yield
    except _errors_of_mlflow() as error:
        kind, verb = TrackingError, "cannot be used" if advice else "says"
        if getattr(error, "error_code", None) in REFUSALS:
            kind = RefusedError
        elif LOCKED in str(error):
            kind, advice = UnreachableError, HELD
        elif CROWDED in str(error):
            kind, advice = UnreachableError, TOO_MANY
        elif _failed_request(error) is not None or _lost_database(error) or _store_is_away(error):
            kind, verb = UnreachableError, verb if advice else "can no longer be used"
            advice = advice or AGAIN
        name = "The artifact store of MLflow" if _is_of_store(error) else "MLflow"
        text = f"{name} at {uri} {verb}: {_reason(error)}. {advice}"
        raise kind(without_password(text).strip()) from error


def is_held(error: TrackingError) -> bool:
    """Whether others hold the database, or all connections to it: a later call may succeed."""
    return LOCKED in str(error) or CROWDED in str(error)


def lost_the_answer(error: TrackingError) -> bool:
    """Whether the server closed the connection after the request: it may have done the work."""
    request = _failed_request(error.__cause__) if error.__cause__ else None
    return request is not None and any(isinstance(cause, ConnectionResetError) for cause in _chain(request))


def _errors_of_mlflow() -> tuple[type[Exception], ...]:
    """Returns the errors that calls of MLflow raise, those of its database and of its artifact store."""
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, *_errors_of_stores())


def _errors_of_stores() -> tuple[type[Exception], ...]:
    """Returns the errors of clients of artifact stores: requests, and what MLflow has imported, as for S3."""
    from requests.exceptions import RequestException

    loaded = [(vars(sys.modules[module]), names) for module, names in STORES.items() if module in sys.modules]
    return (RequestException, *(content[name] for content, names in loaded for name in names))


def _is_of_store(error: BaseException) -> bool:
    """Whether an artifact store caused the error: errors of MLflow's own requests name its endpoint."""
    return ARTIFACTS_ENDPOINT in str(error) or isinstance(error, _errors_of_stores())


def _store_is_away(error: BaseException) -> bool:
    """Whether a store gave no answer, or only a server error; false for an error of MLflow's own."""
    if not isinstance(error, _errors_of_stores()):
        return False
    answers = (getattr(cause, "response", None) for cause in (error, error.__context__))
    statuses = [_status(answer) for answer in answers if answer is not None]
    return not any(status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR for status in statuses)


def _status(answer: Any) -> int | None:
    """Returns the HTTP status of an answer: that of requests has an attribute, that of boto is a mapping."""
    if isinstance(answer, Mapping):
        return answer.get("ResponseMetadata", {}).get("HTTPStatusCode")  # type: ignore[no-any-return]
    return getattr(answer, "status_code", None)


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


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields nested errors, each the reason or last argument of the one before, from the outside in."""
    inner: Any = error
    while isinstance(inner, BaseException):
        yield inner
        inner = getattr(inner, "reason", inner.args[-1] if inner.args else None)
