"""Each row of docs/habits.md names a test that exists; its commands have keys that exist.

The keys are checked by `tests/commands/test_command_line.py`, as in all documents.
"""

import re
from pathlib import Path

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
