"""Each command of docs/winner.md's walk, run in its order, does what the page says."""

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.processes import environment, free_port, run, served

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "winner.md").read_text(encoding="utf-8")
WALK = TEXT.partition("## From a sweep to a server\n")[2].partition("\n## ")[0]
PORT = "5001"
# What a placeholder stands for: the line of an earlier command that names it.
NAMED = {
    "WINNER": ("study.name=first", r"predict: .*run_id=(\w+)"),
    "REFIT": ("src.refit", r"predict: .*run_id=(\w+)"),
    "SECOND": ("study.name=second", r"predict: .*run_id=(\w+)"),
    "VARIATION": ("data.limit=null", r"run (\w+) varies"),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", WALK, re.DOTALL)


def ask(folder: Path, command: str, uri: str) -> str:
    """Runs the server, and the page's program meanwhile; returns what that prints."""
    port = free_port()
    name, *arguments = shlex.split(command.replace(PORT, str(port)))
    program = str(Path(sys.executable).with_name(name))
    with (
        served([program, *arguments], port, folder / "server.log", environment(MLFLOW_TRACKING_URI=uri)),
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        exec(blocks("python")[0].replace(PORT, str(port)), {})
    return printed.getvalue()


@pytest.mark.timeout(600)
def test_every_command_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the commands in a new folder, in their order."""
    monkeypatch.chdir(tmp_path)
    printed: dict[str, str] = {}
    codes: dict[str, int] = {}
    uri = ""
    for command in "".join(blocks("bash")).splitlines():
        if command.startswith("export "):
            uri = command.partition("MLFLOW_TRACKING_URI=")[2]
            continue
        if command.startswith("mlflow models serve"):
            assert ask(tmp_path, command, uri) == "class 0 which is 0\n"
            continue
        typed = command
        for placeholder, (words, pattern) in NAMED.items():
            if placeholder in command:
                (output,) = (text for earlier, text in printed.items() if words in earlier)
                found = re.search(pattern, output)
                assert found, output
                typed = typed.replace(placeholder, found[1])
        python, option, module, *arguments = shlex.split(typed)
        assert (python, option) == ("python", "-m")
        done = run(tmp_path, module.removeprefix("src."), *arguments)
        printed[command], codes[command] = done.stdout, done.code
        assert done.code in (0, 3), f"{typed}:\n{done.stdout}\n{done.stderr}"

    assert [command for command, code in codes.items() if code == 3] == [
        "python -m src.promote run_id=SECOND name=digits"
    ]
    assert "equal: 3 epochs, all metrics and weights bitwise" in printed["python -m src.rerun run_id=WINNER"]
    first, second, third = (text for command, text in printed.items() if "src.promote" in command)
    assert "version 1 of digits is the champion: there was no champion." in first
    assert "version 2 of digits is the challenger: " in second
    assert re.search(r"version 3 of digits is the champion: .*beyond chance", third)
    exported = next(text for command, text in printed.items() if "src.export" in command)
    assert [line.split()[1] for line in exported.splitlines() if line.startswith("│")] == [
        "keras",
        "saved_model",
        "onnx",
        "litert",
    ]
    (page,) = tmp_path.glob("mlruns/compare-second.html")
    section = page.read_text().partition("<h2>The winner</h2>")[2].partition("<h2>")[0]
    assert "run again" in section and "digits, version 2" in section
