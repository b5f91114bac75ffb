"""Errors of MLflow, of its database and of its artifact store become one sentence of the right kind."""

import sqlite3
import sys
from types import ModuleType

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.tracking.failures import tracking_errors


def test_a_locked_database_is_away_and_not_to_be_started() -> None:
    """A sweep goes on while another program holds it."""
    with pytest.raises(UnreachableError) as raised, tracking_errors("sqlite:///mlflow.db", "Start it."):
        raise sqlite3.OperationalError("database is locked")
    assert str(raised.value) == (
        "MLflow at sqlite:///mlflow.db cannot be used: database is locked. Another program holds it: start "
        "this command again once that has ended."
    )


def test_a_server_without_a_free_connection_is_away() -> None:
    """Its pool has 15 connections by default; such an answer comes after half a minute."""
    answer = "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"
    with pytest.raises(UnreachableError) as raised, tracking_errors("http://a"):
        raise MlflowException(answer, error_code=BAD_REQUEST)
    assert str(raised.value) == (
        f"MLflow at http://a says: {answer}. Too many write at once: start the server with a larger "
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE, and then this command again."
    )


def _raise_as_boto3_does(inner: Exception, outer: Exception) -> None:
    try:
        raise inner
    except type(inner):
        raise outer  # noqa: B904


@pytest.mark.parametrize(("status", "is_away"), [(None, True), (503, True), (403, False)])
def test_errors_of_an_s3_client_are_sentences(
    status: int | None, is_away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kerasweep needs no boto: a module with the names of its errors takes its place."""

    class ClientError(Exception):
        response = {"ResponseMetadata": {"HTTPStatusCode": status}}

    class BotoCoreError(Exception):
        pass

    class Boto3Error(Exception):
        pass

    for name, content in {
        "botocore.exceptions": {"ClientError": ClientError, "BotoCoreError": BotoCoreError},
        "boto3.exceptions": {"Boto3Error": Boto3Error},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    inner = BotoCoreError("no endpoint") if status is None else ClientError("An error occurred")
    for raised in (inner, Boto3Error("Failed to upload a.txt")):
        with pytest.raises(TrackingError) as caught, tracking_errors("http://a"):
            _raise_as_boto3_does(inner, raised)
        assert isinstance(caught.value, UnreachableError) is is_away
        assert str(caught.value).startswith("The artifact store of MLflow at http://a ")
        assert str(raised) in str(caught.value)
