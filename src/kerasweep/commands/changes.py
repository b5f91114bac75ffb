"""Separates the keys of a command from overrides of the training that it repeats."""

import re
import sys
from collections.abc import Sequence

from kerasweep.commands.command_line import check_overrides, read_flags, refuse

MODE = re.compile(r"[+~]*hydra\.mode\b")


def split_arguments(command: str, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the arguments: those of the command stay in sys.argv, overrides of the training do not.

    Ends the command with a message and exit code 2 for -m or a misspelt key.

    Args:
        command: As in `src.NAME`.
        keys: The command's own keys.

    Returns:
        All arguments, and the overrides of the training.
    """
    if read_flags(sys.argv[1:]).multirun or any(map(MODE.match, sys.argv[1:])):
        refuse(f"src.{command} trains one configuration. Leave -m and hydra.mode out.")
    # Quotes keep Hydra from reading an id such as 12e456 as infinity.
    arguments = [re.sub(r"^run_id=(\w+)$", r"run_id='\1'", argument) for argument in sys.argv[1:]]
    changes = [argument for argument in arguments if _is_of_training(argument, keys)]
    sys.argv[1:] = [argument for argument in arguments if argument not in changes]
    flags = [argument for argument in sys.argv[1:] if not _has_key(argument, keys)]
    check_overrides(sys.argv[1:], command)
    check_overrides([*flags, *changes], "train")
    return arguments, changes


def _is_of_training(argument: str, keys: Sequence[str]) -> bool:
    """Whether an argument is an override of another key than the command's."""
    is_override = argument.startswith("~") or ("=" in argument and not argument.startswith("-"))
    return is_override and not _has_key(argument, keys)


def _has_key(argument: str, keys: Sequence[str]) -> bool:
    """Whether an override names one of these keys, or one below it."""
    return re.split(r"[=./@]", argument.lstrip("+~"))[0] in keys
