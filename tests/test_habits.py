"""Each row of docs/habits.md names a test that exists, and a command of `src.train` that can be run.

The keys of all commands are checked by `tests/commands/test_command_line.py`, as in all documents.
"""

import re
import shlex
from pathlib import Path

import pytest

from kerasweep.config.check import check
from kerasweep.errors import ConfigError
from tests.compositions import compose_train, plan_of

ROOT = Path(__file__).resolve().parent.parent
ROWS = [
    line.strip("|").split(" | ")
    for line in (ROOT / "docs" / "habits.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| habit", "| ---"))
]


def test_each_habit_has_a_test() -> None:
    assert len(ROWS) >= 60
    missing = []
    for row in ROWS:
        path, _, name = row[-1].strip(" `").partition("::")
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        if not re.search(rf"^(async )?def {name}\(", text, re.MULTILINE):
            missing.append(row)
    assert missing == []


def test_no_habit_is_named_twice() -> None:
    habits = [row[0].strip() for row in ROWS]
    assert len(set(habits)) == len(habits)


# The commands whose habit is a refusal.
REFUSED = ("model.kernel_size=wide", "+model.foo=3", "+optimizer.momentum=0.5,0.9")
# Commands with a place of the user's, with flags, or with a part left out.
INCOMPLETE = ("FOLDER", "SWEEP", "--", "…")
# Keys that are resolved in each job, which this process has none of.
OF_JOBS = ("hydra.sweep.subdir=", "hydra.run.dir=")
COMMANDS = [
    shlex.split(command)
    for row in ROWS
    for command in re.findall(r"`python -m src\.train([^`]*)`", row[1])
    if not any(part in command for part in (*REFUSED, *INCOMPLETE))
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_command_can_be_run(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = [argument for argument in arguments if argument != "-m" and not argument.startswith(OF_JOBS)]
    if "-m" in arguments:
        assert plan_of(*given).total() > 0
    else:
        check(compose_train(*given))


@pytest.mark.parametrize("override", REFUSED[1:])
def test_key_that_nothing_reads_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="^Nothing reads "):
        plan_of(override) if "," in override else check(compose_train(override))
