"""Each command of the tutorial, run in its order, does what the tutorial says."""

import re
import shlex
from pathlib import Path

import pytest

from tests.processes import run

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# These commands set up an environment; the test already runs in one.
SETUP = ("make venv", "source .venv/bin/activate")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def typed(folder: Path, command: str) -> str:
    """Runs a command of the form `python -m src.NAME ARGUMENTS` and returns its output."""
    python, option, module, *arguments = shlex.split(command)
    assert (python, option) == ("python", "-m")
    done = run(folder, module.removeprefix("src."), *arguments)
    assert done.code == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def of(printed: dict[str, str], words: str) -> str:
    """Returns the output of the only command with these words."""
    (output,) = (output for command, output in printed.items() if words in command)
    return output


def test_every_command_does_what_the_tutorial_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the commands in a new folder, in their order; each must succeed."""
    (program,), (study,) = blocks("python"), blocks("yaml")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert len(list(tmp_path.glob("photos/*/*.png"))) == 539
    path = re.search(r"Write `(.*?)`:", TEXT)
    assert path is not None
    (tmp_path / path[1]).parent.mkdir(parents=True)
    (tmp_path / path[1]).write_text(study)
    printed: dict[str, str] = {}
    for command in "".join(blocks("bash")).splitlines():
        if command not in SETUP:
            winner = re.search(r"predict: .*run_id=(\w+)", "\n".join(printed.values()))
            printed[command] = typed(tmp_path, command.replace("RUN_ID", winner[1]) if winner else command)

    assert "test accuracy" in of(printed, "training.epochs=2")
    assert "4 trials" in of(printed, "study.dry_run=true")

    lines = printed["python -m src.train -m --config-dir studies study=augment"].splitlines()
    (verdict,) = (line for line in lines if line.startswith("verdict: "))
    assert any(re.match(r"the winner, run \w{8}, on the test set: accuracy ", line) for line in lines)
    (page,) = tmp_path.glob("mlruns/compare-augment-*.html")
    assert f"report: mlruns/{page.name}" in lines

    compared = of(printed, "src.compare")
    assert verdict in compared.splitlines() and "12 runs: 12 complete" in compared

    predicted = of(printed, "src.predict")
    assert "three/3.png" in predicted and "eight/8.png" in predicted
