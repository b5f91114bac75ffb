"""Keeps each measurement as a line of benchmarks/results, so that an interrupted benchmark continues."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.page import machine

FOLDER = Path(__file__).with_name("results")


class Results:
    """The measurements of one benchmark.

    Lines of another task or machine, or of other versions of the packages, do not count. A last line
    without its end, as a kill leaves it, is removed.

    Args:
        name: The benchmark.
        task: Describes what is trained.
        folder: Where its file is; None for benchmarks/results.
    """

    def __init__(self, name: str, task: str, folder: Path | None = None) -> None:
        self.file = (folder or FOLDER) / f"{name}.jsonl"
        self._same = {"machine": machine().rpartition(";")[0], "task": task}  # without the date
        text = self.file.read_text() if self.file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.file.write_text(whole)
        found = [json.loads(line) for line in whole.splitlines()]
        self._found = {each["key"]: each for each in found if self._same.items() <= each.items()}
        self._days: set[str] = set()  # of the measurements that were read or made

    def get(self, key: str) -> Any:
        """Returns a measurement; None if it has not been made."""
        if key not in self._found:
            return None
        self._days.add(self._found[key]["date"])
        return self._found[key]["value"]

    def add(self, key: str, value: Any) -> None:
        """Saves a measurement at once."""
        self._found[key] = {**self._same, "date": date.today().isoformat(), "key": key, "value": value}
        self._days.add(self._found[key]["date"])
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps(self._found[key]) + "\n")

    def machine(self) -> str:
        """Describes the machine, with the days of the first and the last measurement that was used."""
        days = dict.fromkeys((min(self._days), max(self._days)))
        return f"{self._same['machine']}; {' to '.join(days)}"

    def clear(self) -> None:
        """Forgets all measurements."""
        self._found.clear()
        self.file.unlink(missing_ok=True)
