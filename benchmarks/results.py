"""Keeps each measurement as a line of benchmarks/results, so that an interrupted benchmark continues."""

import json
from pathlib import Path
from typing import Any

from benchmarks.page import machine

FOLDER = Path(__file__).with_name("results")


class Results:
    """The measurements of one benchmark.

    Lines of another machine, or of other versions of the packages, do not count.

    Args:
        name: The benchmark.
        folder: Where its file is; None for benchmarks/results.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self.file = (folder or FOLDER) / f"{name}.jsonl"
        self._machine = machine().rpartition(";")[0]  # without the date
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = [json.loads(line) for line in lines]
        self._values = {each["key"]: each["value"] for each in found if each["machine"] == self._machine}

    def get(self, key: str) -> Any:
        """Returns a measurement; None if it has not been made."""
        return self._values.get(key)

    def add(self, key: str, value: Any) -> None:
        """Saves a measurement at once."""
        self._values[key] = value
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps({"machine": self._machine, "key": key, "value": value}) + "\n")

    def clear(self) -> None:
        """Forgets all measurements."""
        self._values.clear()
        self.file.unlink(missing_ok=True)
