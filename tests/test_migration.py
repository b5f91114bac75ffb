"""Each example of the pages for users of other programs runs as the page says."""

import re
import shlex
from pathlib import Path

import pytest

from tests.processes import run, run_script

DOCS = Path(__file__).resolve().parents[1] / "docs"
SMALL = re.compile(r"(?:Save this as|Here it is|becomes) `([^`]+)`")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def write_files(folder: Path, text: str, language: str) -> None:
    """Writes the blocks after a sentence that names their file."""
    for path, block in re.findall(rf"{SMALL.pattern}[^`]*```{language}\n(.*?)```", text, re.DOTALL):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(block)


def test_from_keras_tuner(tmp_path: Path) -> None:
    text = (DOCS / "from-keras-tuner.md").read_text(encoding="utf-8")
    write_files(tmp_path, text, "python")
    _, arrays, search = blocks(text, "python")
    (tmp_path / "search.py").write_text(f"{arrays}{search}print(best.output_shape, len(sweep.trials))\n")
    done = run_script(tmp_path, "search.py")
    assert (done.code, done.stdout.splitlines()[-1:]) == (0, ["(None, 10) 4"]), done.stderr


@pytest.mark.parametrize("page", ["from-hydra-optuna-sweeper.md", "from-lightning-hydra-template.md"])
def test_each_command_of_the_page(tmp_path: Path, page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    write_files(tmp_path, text, "yaml")
    commands = [line for block in blocks(text, "bash") for line in block.splitlines()]
    assert len(commands) > 1
    for command in commands:
        python, option, module, *arguments = shlex.split(command)
        assert (python, option) == ("python", "-m")
        done = run(tmp_path, module.removeprefix("src."), *arguments)
        assert done.code == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        assert "predict: " in done.stdout and "is not used" not in done.stdout
