"""A password is used, and written nowhere."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.config.passwords import VARIABLES, hide_passwords, hide_passwords_in, resolved_text
from kerasweep.errors import ConfigError
from kerasweep.search.database import Database
from kerasweep.tracking.writer import Tracker
from tests.compositions import compose_train

URI = "http://me:p%40ss:word@host:5000/path"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES.values():
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("key", VARIABLES)
def test_the_password_of_an_override_is_a_reference(key: str) -> None:
    hidden, other = hide_passwords([f"{key}={URI}", f"study.name={URI}"])
    assert "word" not in hidden and other == f"study.name={URI}"
    cfg = compose_train(hidden)
    assert OmegaConf.select(cfg, key) == URI
    assert "word" not in OmegaConf.to_yaml(cfg) and os.environ[VARIABLES[key]] == "p%40ss:word"
    assert hide_passwords([hidden]) == [hidden]


@pytest.mark.parametrize("key", VARIABLES)
def test_the_password_of_a_resolved_configuration_is_a_reference(key: str) -> None:
    """Each run has this text as its artifact config.yaml."""
    (hidden,) = hide_passwords([f"{key}={URI}"])
    text = resolved_text(compose_train(hidden, "model.dropout=0.25", "model.dense_dropout=${model.dropout}"))
    assert "word" not in text and f"${{oc.env:{VARIABLES[key]}}}" in text
    assert "dense_dropout: 0.25" in text


@pytest.mark.parametrize("key", VARIABLES)
def test_the_password_of_a_file_is_a_reference(key: str) -> None:
    cfg = compose_train()
    OmegaConf.update(cfg, key, URI)
    hide_passwords_in(cfg)
    assert OmegaConf.select(cfg, key) == URI and "word" not in OmegaConf.to_yaml(cfg)


@pytest.mark.parametrize(
    "address",
    ["sqlite:///mlruns/mlflow.db", "http://host:5000", "http://me@host", "http://me:${oc.env:MINE}@host"],
)
def test_an_address_without_a_password_stays(address: str) -> None:
    assert hide_passwords([f"tracking.uri={address}"]) == [f"tracking.uri={address}"]


@pytest.mark.parametrize(
    ("argument", "hidden"),
    [
        ("tracking.uri=http://me:p@ss@host:5000", "tracking.uri=http://me:${{oc.env:{}}}@host:5000"),
        ("storage.url=postgresql://me:p@ss/=@host/db", "storage.url=postgresql://me:${{oc.env:{}}}@host/db"),
        (
            'storage.url="postgresql+psycopg://host/db?user=me&password=p@ss"',
            'storage.url="postgresql+psycopg://host/db?user=me&password=${{oc.env:{}}}"',
        ),
        (
            "storage={name:rdb,url:'postgresql://me:p@ss@host/db'}",
            "storage={{name:rdb,url:'postgresql://me:${{oc.env:{}}}@host/db'}}",
        ),
    ],
)
def test_passwords_of_other_forms(argument: str, hidden: str) -> None:
    variable = VARIABLES["tracking.uri" if argument.startswith("tracking") else "storage.url"]
    assert hide_passwords([argument]) == [hidden.format(variable)]
    assert os.environ[variable].startswith("p@ss")


def packed(made: Any) -> bytes:
    """Returns what another launcher of Hydra's writes into a file for its job."""
    written = pickle.dumps(made)
    assert b"word" not in written
    return written


@pytest.mark.parametrize("url", [URI, "sqlite:////f/optuna.db"])
def test_a_storage_is_pickled_without_its_password(url: str) -> None:
    assert pickle.loads(packed(Database(url, Path("/f")))) == Database(url, Path("/f"))


def test_a_tracker_is_pickled_without_its_password() -> None:
    packed(Tracker(None, URI, "1"))
    assert os.environ[VARIABLES["tracking.uri"]] == "p%40ss:word"


def test_a_job_without_the_password_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    written = packed(Database(URI, Path("/f")))
    monkeypatch.delenv("KERASWEEP_STORAGE_PASSWORD")
    with pytest.raises(ConfigError) as raised:
        pickle.loads(written)
    assert str(raised.value) == (
        "The environment has no KERASWEEP_STORAGE_PASSWORD, the password of an address. "
        "Let the launcher pass the command's environment on to its jobs."
    )
