"""Prints for people: lines as they are, tables as wide as their content needs."""

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
