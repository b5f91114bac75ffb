"""Printed text looks the same everywhere, and next commands repeat the user's overrides."""

import shlex
import subprocess
import sys

import pytest
from rich.table import Table

from kerasweep.terminal import duration_text, next_commands, params_text, redirect_lines, say, show

URI = "sqlite:////data/mlruns/mlflow.db"


@pytest.mark.parametrize(
    ("program", "is_default", "said"),
    [
        (
            "/clone/src/train.py",
            True,
            [
                "browse:  make ui, then http://127.0.0.1:5000",
                "compare: python -m src.compare study=s-1",
                "predict: python -m src.predict run_id=r images=[IMAGE.png]",
                "refit:   python -m src.refit sweep=s-1",
                "export:  python -m src.export run_id=r format=onnx",
            ],
        ),
        (
            "/environment/bin/kerasweep-train",
            True,
            [
                f"browse:  mlflow ui --backend-store-uri {URI}, then http://127.0.0.1:5000",
                "compare: kerasweep-compare study=s-1",
                "predict: kerasweep-predict run_id=r images=[IMAGE.png]",
                "refit:   kerasweep-refit sweep=s-1",
                "export:  kerasweep-export run_id=r format=onnx",
            ],
        ),
        (
            "/clone/src/train.py",
            False,
            [
                f"browse:  mlflow ui --backend-store-uri {URI}, then http://127.0.0.1:5000",
                f"compare: python -m src.compare study=s-1 tracking.uri='{URI}'",
                f"predict: python -m src.predict run_id=r images=[IMAGE.png] tracking.uri='{URI}'",
                f"refit:   python -m src.refit sweep=s-1 tracking.uri='{URI}'",
                f"export:  python -m src.export run_id=r format=onnx tracking.uri='{URI}'",
            ],
        ),
    ],
)
def test_next_commands(
    program: str, is_default: bool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert next_commands(URI, is_default, "s-1", "r") == said
    assert next_commands(URI, is_default, None, "r") == [said[0], said[2]]
    assert next_commands(URI, is_default, "s-1", None) == said[:2]


def test_the_name_of_a_registered_model_is_quoted_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    *_, predict = next_commands(URI, True, None, None, "models:/a'b c@champion")
    assert shlex.split(predict)[-2:] == ["model=models:/a'b c@champion", "images=[IMAGE.png]"]


def test_what_steers_a_terminal_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb\x07\x9bc\nd")
    assert capsys.readouterr().out == "a?[2Jb??c\nd\n"


def test_a_server_is_browsed_at_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kerasweep-train"])
    browse, *_ = next_commands("http://me:***@host:5000", False, None, None)
    assert browse == "browse:  http://me:***@host:5000"
    browse, *_ = next_commands("http://host:5000/", False, None, None, experiment="7")
    assert browse == "browse:  http://host:5000/#/experiments/7/runs"


@pytest.mark.parametrize(("output", "said"), [("/dev/full", "No space left on device"), ("closed pipe", "")])
def test_a_command_goes_on_without_its_output(output: str, said: str) -> None:
    program = (
        "from kerasweep.terminal import say, show\n"
        "from rich.table import Table\n"
        "import sys\n"
        "sys.stdin.read()\n"
        "for _ in range(3): say('x' * 10_000)\n"
        "show(Table('a'))\n"
        "print('done', file=sys.stderr)"
    )
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=full if output == "/dev/full" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if process.stdout is not None:
            process.stdout.close()
            process.stdout = None
        _, stderr = process.communicate("")
    note = f"note: the output cannot be written: {said}\n" if said else ""
    assert (process.returncode, stderr) == (0, f"{note}done\n")


def test_a_folder_with_a_space_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kerasweep-train"])
    browse, *_ = next_commands("sqlite:////my data/mlflow.db", True, None, None)
    assert (
        browse
        == "browse:  mlflow ui --backend-store-uri 'sqlite:////my data/mlflow.db', then http://127.0.0.1:5000"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05"), (90000, "1 day, 1:00:00")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration_text(seconds) == said


def test_configuration_on_one_line() -> None:
    params = {"rate": 0.000123456, "size": 123456, "kind": "l2", "none": None, "on": True}
    assert params_text(params) == "rate=0.0001235 size=123456 kind=l2 none=None on=True"


def test_lines_are_redirected(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with redirect_lines(lines.append):
        say("[1/2] :x: within")
    say("[1/2] :x: after")
    assert lines == ["[1/2] :x: within"] and capsys.readouterr().out == "[1/2] :x: after\n"


@pytest.mark.parametrize(("is_terminal", "is_folded"), [(True, True), (False, False)])
def test_only_a_terminal_folds_a_wide_table(
    is_terminal: bool,
    is_folded: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(is_terminal)))
    monkeypatch.setenv("NO_COLOR", "1")
    table = Table("trial", "configuration")
    table.add_row("7", " ".join(f"model.key_{index}=value" for index in range(9)))
    show(table)
    said = capsys.readouterr().out
    assert all(f"model.key_{index}=value" in said for index in range(9))
    assert (len(said.splitlines()[0]) <= 60) is is_folded


def test_table_is_wider_than_a_terminal_that_would_cut_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    table = Table("a" * 30)
    table.add_row("b" * 40)
    show(table)
    assert "b" * 40 in capsys.readouterr().out
