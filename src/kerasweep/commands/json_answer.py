"""Prints the result or the error of a command as one JSON object: the option `--json` of each command."""

import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from kerasweep.commands.answer import Answer, asked
from kerasweep.commands.command_line import refuse, stop
from kerasweep.commands.hydra_errors import hydra_error
from kerasweep.errors import readable

# Flags of Hydra's with which a command shows something instead of doing its work.
SHOWS = (
    "--help",
    "-h",
    "--hydra-help",
    "--version",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--shell-completion",
    "-sc",
)
FAULT = 1  # the exit code of Python after an exception


def answer_in_json(command: Callable[[], None]) -> None:
    """Runs a command whose lines go to stderr, and prints its answer as JSON to stdout.

    Whatever writes to stdout meanwhile, as worker processes and libraries do, writes to stderr.

    Raises:
        SystemExit: The end of the command, with its exit code.
    """
    sys.stdout.flush()
    with open(os.dup(1), "w", encoding="utf-8") as output, asked() as answer:
        os.dup2(2, 1)
        code = _code_of(command, answer)
        try:
            print(json.dumps(as_object(answer, code), ensure_ascii=False), file=output, flush=True)
        except BrokenPipeError:  # whoever asked has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
    if code:
        raise SystemExit(code)


def _code_of(command: Callable[[], None], answer: Answer) -> int:
    """Runs a command and returns its exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's errors arrive here instead of being printed
    try:
        _check_flags(sys.argv[1:])
        command()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt as interrupt:
        try:
            stop(interrupt)
        except SystemExit as end:
            assert isinstance(end.code, int)
            return end.code
    except Exception as error:  # a fault of the program, or Hydra's
        answer.result, answer.error = None, hydra_error(error) or error
        if answer.error is error:
            sys.excepthook(type(error), error, error.__traceback__)
        else:
            print(f"error: {answer.error}", file=sys.stderr)
        return FAULT
    return 0


def _check_flags(arguments: Sequence[str]) -> None:
    shown = [argument for argument in arguments if argument.partition("=")[0] in SHOWS]
    if shown:
        refuse(f"--json gives the result of a command, but {shown[0]} shows something else. Leave one out.")


def as_object(answer: Answer, code: int) -> dict[str, Any]:
    """Returns the JSON object of an answer; see docs/json.md."""
    if answer.result is not None and answer.error is None:
        result = plain(answer.result)
        return {"kind": kind_of(type(result)), "exit_code": code, "result": as_json(result)}
    error = answer.error or SystemExit("the command ended without a result; stderr says why")
    text = "stopped" if isinstance(error, KeyboardInterrupt) else str(error)
    message = " ".join(readable(text).split("\n"))
    return {"error": {"type": type(error).__name__, "message": message}, "exit_code": code}


def kind_of(result: type) -> str:
    """Returns the name of a result's class in snake case, without `Result`: sweep, trained_run."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", result.__name__.removesuffix("Result")).lower()


def plain(result: Any) -> Any:
    """Returns the part of a result that is plain data: the end of a sweep also has its study."""
    return getattr(result, "result", result)


def as_json(value: Any) -> Any:
    """Returns plain data for JSON.

    JSON has no NaN and no infinity, which become null, and no bytes that are no UTF-8, which become escapes.
    """
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {readable(str(key)): as_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return readable(value)
    return value
