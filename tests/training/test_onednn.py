"""One measurement decides about oneDNN; a setting in the environment overrides it."""

import json
import os
from pathlib import Path

import pytest

from kerasweep.training import onednn
from kerasweep.training.onednn import VARIABLE, recall_onednn, set_onednn, this_machine
from tests.processes import run_script


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the variable from the environment; after the test it has its old value."""
    monkeypatch.setenv(VARIABLE, "")
    del os.environ[VARIABLE]


@pytest.mark.parametrize(("seconds", "faster"), [({"0": 2.5, "1": 1.5}, "1"), ({"0": 1.5, "1": 11.0}, "0")])
def test_measures_once_and_remembers(
    seconds: dict[str, float],
    faster: str,
    unset: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The probe that is started here knows how long each setting takes."""
    (tmp_path / "known.py").write_text(f"import os\nprint({seconds}[os.environ['{VARIABLE}']])")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(onednn, "PROBE", "known")
    cache = tmp_path / "new" / "onednn.json"
    set_onednn(cache)
    assert "once, about 10 s" in capsys.readouterr().out
    assert os.environ.pop(VARIABLE) == faster
    assert json.loads(cache.read_text()) == {this_machine(): faster}
    monkeypatch.setattr(onednn, "PROBE", "no.such.module")
    set_onednn(cache)
    assert capsys.readouterr().out == ""
    assert os.environ[VARIABLE] == faster


def test_probe_measures_training_steps(tmp_path: Path) -> None:
    done = run_script(tmp_path, "-m", onednn.PROBE)
    assert done.code == 0, done.stderr
    assert float(done.stdout.split()[-1]) > 0


def test_recalling_measures_nothing(unset: None, tmp_path: Path) -> None:
    cache = tmp_path / "onednn.json"
    assert not recall_onednn(cache) and VARIABLE not in os.environ
    cache.write_text(json.dumps({this_machine(): "0"}))
    assert recall_onednn(cache) and os.environ[VARIABLE] == "0"


def test_environment_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "onednn.json"
    cache.write_text(json.dumps({this_machine(): "0"}))
    monkeypatch.setenv(VARIABLE, "7")
    set_onednn(cache)
    assert os.environ[VARIABLE] == "7"


def test_another_machines_decision_is_kept_and_ignored(
    unset: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "onednn.json"
    cache.write_text(json.dumps({"another": "0"}))
    monkeypatch.setattr(onednn, "_faster_setting", lambda: "1")
    set_onednn(cache)
    assert os.environ[VARIABLE] == "1"
    assert json.loads(cache.read_text()) == {"another": "0", this_machine(): "1"}


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_damaged_cache_is_written_again(
    content: str, unset: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "onednn.json"
    cache.write_text(content)
    monkeypatch.setattr(onednn, "_faster_setting", lambda: "0")
    set_onednn(cache)
    assert json.loads(cache.read_text()) == {this_machine(): "0"}


def test_failed_probe_leaves_the_decision_to_tensorflow(
    unset: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "PROBE", "no.such.module")
    set_onednn(tmp_path / "onednn.json")
    assert VARIABLE not in os.environ and json.loads((tmp_path / "onednn.json").read_text()) == {}


def test_without_a_writable_cache_nothing_is_measured(
    unset: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    set_onednn(tmp_path / "file" / "onednn.json")
    assert VARIABLE not in os.environ and capsys.readouterr().out == ""
