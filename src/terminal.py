"""Prints for people: lines as they are, tables as wide as their content needs."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDEST = 1000


def say(line: str) -> None:
    """Print a line without wrapping or markup."""
    Console(highlight=False, soft_wrap=True).print(line, markup=False)


def show(table: Table) -> None:
    """Print a table whose columns are never cut, in a terminal, a pipe or a log."""
    console = Console(highlight=False)
    options = console.options.update(max_width=WIDEST)
    needed = Measurement.get(console, options, table).maximum
    Console(highlight=False, width=max(console.width, needed)).print(table)
