"""The config, then the environment, then a default decide where runs are stored."""

from pathlib import Path

import pytest

from kerasweep.config.passwords import without_password
from kerasweep.errors import TrackingError
from kerasweep.tracking.location import database_path, default_uri, resolve_uri


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_default_lies_below_the_working_directory(folder: Path) -> None:
    assert resolve_uri(None) == default_uri() == f"sqlite:///{folder}/mlruns/mlflow.db"


def test_environment_comes_before_the_default_and_the_config_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert resolve_uri(None) == "http://localhost:5000"
    assert resolve_uri("https://elsewhere") == "https://elsewhere"


def test_relative_database_becomes_absolute(folder: Path) -> None:
    assert resolve_uri("sqlite:///runs/a.db") == f"sqlite:///{folder}/runs/a.db"
    assert resolve_uri("sqlite:////runs/a.db") == "sqlite:////runs/a.db"
    assert database_path(f"sqlite:///{folder}/a.db") == folder / "a.db"
    assert database_path("http://localhost:5000") is None


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "/tmp/mlruns", "file:///tmp/mlruns", "file:mlruns"])
def test_folder_is_refused_with_an_alternative(uri: str) -> None:
    with pytest.raises(TrackingError) as raised:
        resolve_uri(uri)
    assert str(raised.value) == (
        f"tracking.uri must be a database or a server, but got {uri}: MLflow no longer records into folders. "
        "Use one such as sqlite:///mlruns/mlflow.db or http://localhost:5000."
    )


def test_password_is_not_shown() -> None:
    assert without_password("postgresql://me:secret@host:5432/runs") == "postgresql://me:***@host:5432/runs"
    assert without_password("http://localhost:5000/a@b") == "http://localhost:5000/a@b"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://[bad", "tracking.uri=http://[bad is not an address: Invalid IPv6 URL"),
        ("postgresql://u:p@127.0.0.1:abc/x", "postgresql://u:***@127.0.0.1:abc/x is not an address"),
        ("sqlite://", "is a database in memory, which ends with the command"),
        ("sqlite:///:memory:", "is a database in memory, which ends with the command"),
    ],
)
def test_malformed_or_temporary_address_is_refused(uri: str, said: str) -> None:
    with pytest.raises(TrackingError) as refused:
        resolve_uri(uri)
    assert said in str(refused.value)
