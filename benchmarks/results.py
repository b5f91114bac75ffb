"""Keeps each measurement as a line of benchmarks/results, so that an interrupted benchmark continues."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.page import machine

FOLDER = Path(__file__).with_name("results")


class Results:
    """The measurements of one benchmark.

    Lines of another machine, or of other versions of the packages, do not count. A last line without its end,
    as a kill leaves it, is removed.

    Args:
        name: The benchmark.
        folder: Where its file is; None for benchmarks/results.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self.file = (folder or FOLDER) / f"{name}.jsonl"
        self._machine = machine().rpartition(";")[0]  # without the date
        text = self.file.read_text() if self.file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.file.write_text(whole)
        found = [json.loads(line) for line in whole.splitlines()]
        self._found = {each["key"]: each for each in found if each["machine"] == self._machine}

    def get(self, key: str) -> Any:
        """Returns a measurement; None if it has not been made."""
        return self._found[key]["value"] if key in self._found else None

    def add(self, key: str, value: Any) -> None:
        """Saves a measurement at once."""
        today = date.today().isoformat()
        self._found[key] = {"machine": self._machine, "date": today, "key": key, "value": value}
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps(self._found[key]) + "\n")

    def machine(self) -> str:
        """Describes the machine, with the days of the first and the last measurement."""
        days = sorted({each["date"] for each in self._found.values()})
        return f"{self._machine}; {' to '.join(dict.fromkeys((days[0], days[-1])))}"

    def clear(self) -> None:
        """Forgets all measurements."""
        self._found.clear()
        self.file.unlink(missing_ok=True)
