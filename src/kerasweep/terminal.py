"""Prints lines and tables for people, and formats values, durations and commands."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

MAX_WIDTH = 1000
MAX_WHOLE = 1e15  # larger whole numbers may be rounded
# Where `make ui` and `mlflow ui` show a database.
LOCAL_UI = "http://127.0.0.1:5000"
_printers: list[Callable[[str], None]] = []


# What steers a terminal, which a recorded name could hold, is shown as a question mark.
CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "?")


def say(line: str) -> None:
    """Prints a line without wrapping or markup."""
    # A file's name that is no UTF-8 cannot be printed as it is.
    line = as_started(line).translate(CONTROLS).encode("utf-8", "backslashreplace").decode()
    if _printers:
        _printers[-1](line)
    else:
        with output_may_end():
            console().print(line, soft_wrap=True)


@contextmanager
def redirect_lines(printer: Callable[[str], None]) -> Iterator[None]:
    """Passes each line of `say` to this function inside the block, instead of printing it."""
    _printers.append(printer)
    try:
        yield
    finally:
        _printers.pop()


def show(table: Table) -> None:
    """Prints a table without cutting cells: a terminal wraps them between words, a pipe or a log does not."""
    terminal = console()
    needed = Measurement.get(terminal, terminal.options.update(max_width=MAX_WIDTH), table)
    least = needed.minimum if terminal.is_terminal else needed.maximum
    with output_may_end():
        console(width=max(terminal.width, least)).print(table)


@contextmanager
def output_may_end() -> Iterator[None]:
    """Lets the command go on without its output if that cannot be written any more.

    The terminal or the pipe is closed, or the disk of a log file is full.
    """
    try:
        yield
    except OSError as error:
        # What Python still holds back would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        if not isinstance(error, BrokenPipeError):
            with suppress(OSError):
                print(f"note: the output cannot be written: {error.strerror}", file=sys.stderr, flush=True)


def console(width: int | None = None) -> Console:
    """Returns a console that prints `[a,b]` and `:x:` unchanged. width: None for the terminal's."""
    # In a notebook, lines are plain text: rich would show each in a frame of its own.
    return _Console(highlight=False, markup=False, emoji=False, width=width, force_jupyter=False)


class _Console(Console):
    """A console that leaves a closed pipe to its caller; rich would end the command."""

    def on_broken_pipe(self) -> None:
        raise


def params_text(params: Mapping[str, object]) -> str:
    """Formats a configuration on one line."""
    return " ".join(f"{key}={value_text(value)}" for key, value in params.items())


COMMAND = re.compile(r"(?:python -m )?\bsrc\.(train|compare|predict|rerun|refit|export|promote)\b")


def as_started(text: str) -> str:
    """Returns a text that names commands in the form in which this process was started.

    An installed `kerasweep-train` has no `python -m src.train` beside it.
    """
    is_installed = Path(sys.argv[0]).name.startswith("kerasweep-")
    return COMMAND.sub(r"kerasweep-\1", text) if is_installed else text


def value_text(value: object) -> str:
    """Formats a value: fractions with four digits, whole numbers with all. MLflow stores all digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and abs(value) < MAX_WHOLE else f"{value:.4g}"


def duration_text(seconds: float) -> str:
    """Formats seconds as hours, minutes and seconds: 0:01:32."""
    return str(timedelta(seconds=round(seconds)))


def next_commands(
    uri: str,
    is_default: bool,
    compared: str | None,
    run_id: str | None,
    address: str | None = None,
    experiment: str | None = None,
) -> list[str]:
    """Returns lines with the commands to type next, in the form in which this process was started.

    Args:
        uri: MLflow's tracking URI, without a password.
        is_default: Whether commands use this URI by default.
        compared: The study or sweep to compare; None for no such line.
        run_id: A run with a model; None for no such line.
        address: The address of a registered model, instead of a run.
        experiment: The id of the experiment whose runs to browse; None for MLflow's first page.
    """
    is_installed = Path(sys.argv[0]).name.startswith("kerasweep-")
    command = "kerasweep-" if is_installed else "python -m src."
    flag = "" if is_default else f" tracking.uri='{uri}'"
    by_make = is_default and not is_installed and Path("Makefile").exists()
    start = "make ui" if by_make else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    # MLflow's own page of an experiment shows its traces.
    runs = "" if experiment is None else f"/#/experiments/{experiment}/runs"
    is_served = uri.startswith("http")
    browse = f"{uri.rstrip('/')}{runs}" if is_served else f"{start}, then {LOCAL_UI}{runs}"
    lines = [f"browse:  {browse}"]
    if compared is not None:
        lines.append(f"compare: {command}compare study={compared}{flag}")
    named = f"run_id={run_id}" if address is None else shlex.quote(f"model={address}")
    if run_id is not None or address is not None:
        lines.append(f"predict: {command}predict {named} images=[IMAGE.png]{flag}")
    if compared is not None and run_id is not None:
        lines.append(f"refit:   {command}refit sweep={compared}{flag}")
        lines.append(f"export:  {command}export run_id={run_id} format=onnx{flag}")
    return lines
