"""Passes the result or the error of a command to its caller: Python's functions, or `--json`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """The answer of a command. A command that differs or ranks behind has a result and another exit code."""

    result: Any = None  # a frozen dataclass, None before the end and after an error
    error: BaseException | None = None
    raises: bool = False  # whether the caller raises the error; else the command prints it


_asked: list[Answer] = []


@contextmanager
def asked(raises: bool = False) -> Iterator[Answer]:
    """Yields the answer that the command in the block fills. raises: see `Answer`."""
    answer = Answer(raises=raises)
    _asked.append(answer)
    try:
        yield answer
    finally:
        _asked.remove(answer)


def give(result: Any) -> None:
    """Notes a command's result, if someone asked for it."""
    if _asked:
        _asked[-1].result = result


def give_error(error: BaseException) -> bool:
    """Notes the error that ends a command, if someone asked for it. Returns whether to print it, too."""
    if _asked:
        _asked[-1].error = error
    return not (_asked and _asked[-1].raises)
