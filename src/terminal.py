"""Prints for people: lines as they are, tables as wide as their content needs."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDEST = 1000


def say(line: str) -> None:
    """Print a line without wrapping or markup."""
    _console(soft_wrap=True).print(line)


def show(table: Table) -> None:
    """Print a table whose columns are never cut, in a terminal, a pipe or a log."""
    console = _console()
    options = console.options.update(max_width=WIDEST)
    needed = Measurement.get(console, options, table).maximum
    _console(width=max(console.width, needed)).print(table)


def _console(**options: Any) -> Console:
    """A console that shows `[a,b]` and `:x:` as they are."""
    return Console(highlight=False, markup=False, emoji=False, **options)


def next_commands(uri: str, is_default: bool, compared: str | None, run_id: str) -> list[str]:
    """What to type next, in the words that this process was started with.

    uri, is_default: MLflow's, and whether commands find it without being told. compared: a study
    or sweep to compare, if there is one. run_id: a run that keeps a model.
    """
    is_installed = Path(sys.argv[0]).name.startswith("kerasweep-")
    command = "kerasweep-" if is_installed else "python -m src."
    flag = "" if is_default else f" tracking.uri='{uri}'"
    by_make = is_default and not is_installed
    lines = [f"browse:  {'make ui' if by_make else f'mlflow ui --backend-store-uri {uri}'}"]
    if compared is not None:
        lines.append(f"compare: {command}compare study={compared}{flag}")
    return [*lines, f"predict: {command}predict run_id={run_id} images=[IMAGE.png]{flag}"]
