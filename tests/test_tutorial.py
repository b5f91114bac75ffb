"""Each command of the tutorial, run in its order, does what the tutorial says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# These commands set up an environment; the test already runs in one.
SETUP = ("make venv", "source .venv/bin/activate")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Runs the commands in a new folder; returns what each printed. Each must succeed."""
    folder = tmp_path_factory.mktemp("tutorial")
    (program,), (study,) = blocks("python"), blocks("yaml")
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    path = re.search(r"Write `(.*?)`:", TEXT)
    assert path is not None
    (folder / path[1]).parent.mkdir(parents=True)
    (folder / path[1]).write_text(study)
    found: dict[str, str] = {}
    for command in "".join(blocks("bash")).splitlines():
        if command not in SETUP:
            winner = re.search(r"predict: .*run_id=(\w+)", "\n".join(found.values()))
            found[command] = typed(folder, command.replace("RUN_ID", winner[1]) if winner else command)
    found["photos"] = str(len(list(folder.glob("photos/*/*.png"))))
    found["page"] = " ".join(path.name for path in folder.glob("mlruns/compare-augment-*.html"))
    return found


def typed(folder: Path, command: str) -> str:
    """Runs a command of the form `python -m src.NAME ARGUMENTS` and returns its output."""
    python, option, module, *arguments = shlex.split(command)
    assert (python, option) == ("python", "-m")
    done = run(folder, module.removeprefix("src."), *arguments)
    assert done.code == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def of(said: dict[str, str], words: str) -> str:
    """Returns the output of the only command with these words."""
    (output,) = (output for command, output in said.items() if words in command)
    return output


@pytest.mark.timeout(300)
def test_images_are_those_of_three_digits(said: dict[str, str]) -> None:
    assert said["photos"] == "539"
    assert "test accuracy" in of(said, "training.epochs=2")


def test_dry_run_counts_the_trials(said: dict[str, str]) -> None:
    assert "4 trials" in of(said, "study.dry_run=true")


def test_study_ends_with_a_verdict_and_its_page(said: dict[str, str]) -> None:
    lines = said["python -m src.train -m --config-dir studies study=augment"].splitlines()
    assert any(line.startswith("verdict: ") for line in lines)
    assert any(re.match(r"the winner, run \w{8}, on the test set: accuracy ", line) for line in lines)
    assert lines[-1] == f"report: mlruns/{said['page']}" and " " not in said["page"]


def test_comparison_has_the_same_verdict(said: dict[str, str]) -> None:
    verdicts = {
        line
        for command in (
            "python -m src.train -m --config-dir studies study=augment",
            "python -m src.compare study=augment",
        )
        for line in said[command].splitlines()
        if line.startswith("verdict: ")
    }
    assert len(verdicts) == 1
    assert "12 runs: 12 complete" in of(said, "src.compare")


def test_winner_classifies(said: dict[str, str]) -> None:
    output = of(said, "src.predict")
    assert "three/3.png" in output and "eight/8.png" in output
