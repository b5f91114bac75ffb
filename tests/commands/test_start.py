"""An installed command shows its own name, and bash completes its keys and options."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Done, environment, run_script

# As pip writes it into the `bin` of an environment.
SCRIPT = """#!{python}
import sys
from kerasweep.commands.start import {name}
if __name__ == '__main__':
    sys.exit({name}())
"""
# Defines the completion as the user does once, then asks for it as bash does at a press of Tab.
TAB = """
eval "$(kerasweep-train -sc install=bash)"
complete -p kerasweep-train
COMP_LINE='{line}'
COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=($COMP_LINE)
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
hydra_bash_completion
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Returns a folder with the installed commands, and an empty folder beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("train", "compare"):
        script = folder / f"kerasweep-{name}"
        script.write_text(SCRIPT.format(python=sys.executable, name=name))
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize("name", ["train", "compare"])
def test_help_names_the_installed_command(name: str, programs: Path) -> None:
    shown: Done = run_script(programs.parent / "empty", str(programs / f"kerasweep-{name}"), "--help")
    assert shown.code == 0, shown.stderr
    assert f"kerasweep-{name}" in shown.stdout
    assert "python -m src." not in shown.stdout


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("kerasweep-train optimizer=a", ["optimizer=adam", "optimizer=adamw"]),
        ("kerasweep-train -m model.kernel", ["model.kernel_size="]),
        ("kerasweep-train study=quick", ["study=quickstart"]),
    ],
)
def test_bash_completes_an_installed_command(line: str, completed: list[str], programs: Path) -> None:
    variables = environment()
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", TAB.format(line=line)],
        cwd=programs.parent / "empty",
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    first, *choices = done.stdout.splitlines()
    assert first.endswith(" kerasweep-train") and "hydra_bash_completion" in first
    assert sorted(choices) == completed, done.stderr
    assert list((programs.parent / "empty").iterdir()) == []
