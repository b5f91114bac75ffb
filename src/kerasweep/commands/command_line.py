"""Turns errors of a command into one sentence, and checks its overrides before Hydra reads them."""

import errno
import re
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from kerasweep.commands.answer import give_error
from kerasweep.config.folders import config_folder
from kerasweep.config.schemas import SCHEMAS, command_keys
from kerasweep.errors import (
    DISK_ERRORS,
    ConfigError,
    KerasweepError,
    StorageError,
    Terminated,
    disk_advice,
    suggestion,
)
from kerasweep.terminal import as_started

if TYPE_CHECKING:
    from argparse import Namespace

    from hydra.core.override_parser.types import Override

T = TypeVar("T")
FOLDERS = ("conf", "sweeps")
# Keys whose value is a text, whatever it looks like.
QUOTED = ("run_id", "name", "reason", "registered_model")
# Arguments that name the user's config files, which may have other keys.
USER_FILES = ("--config-", "-cd", "-cn", "-cp", "hydra.searchpath=")
HINT = (
    "hint: values with spaces, =, >, or letters beyond ASCII need quotes inside the shell's, as in "
    "'data.path=\"my folder\"'; null among choices needs commas, as in data.limit=null,2000"
)


def run_command(function: Callable[[], T]) -> T:
    """Calls the function; an error of the user ends the command with one line and exit code 2.

    Ctrl-C ends it with 130. SIGTERM ends a single run with 143, SIGHUP with 129, and both a sweep, which
    handles them as Ctrl-C, with 130.
    """
    try:
        return function()
    except KeyboardInterrupt as interrupt:
        stop(interrupt)
    except KerasweepError as error:
        refuse(" ".join(str(error).split("\n")), type(error))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            refuse(f"The path {error.filename} is too long. Name a shorter one.")
        if error.errno not in DISK_ERRORS:
            raise
        refuse(
            f"{error.filename or 'A file'} cannot be written: {error.strerror}. "
            f"To go on, {disk_advice(error)}, and start the same command.",
            StorageError,
        )
    except (MissingMandatoryValue, InterpolationResolutionError) as error:
        key = f"{error.full_key}: " if error.full_key else ""
        refuse(key + str(error).partition("\n")[0])


def stop(interrupt: KeyboardInterrupt) -> NoReturn:
    """Ends the command after Ctrl-C or another signal, with the exit code of a process that it killed."""
    if give_error(interrupt):
        with suppress(OSError):  # the terminal is closed
            print("stopped", file=sys.stderr)
    number = interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT
    raise SystemExit(128 + number) from None


def read_run_id(cfg: DictConfig) -> str:
    """Returns run_id. Raises ConfigError if it is missing, or no text."""
    if OmegaConf.is_missing(cfg, "run_id") or not isinstance(cfg.run_id, (str, int)) or cfg.run_id == "":
        raise ConfigError("run_id needs the id of a recorded run: python -m src.compare shows them.")
    return str(cfg.run_id)


def read_model_name(cfg: DictConfig) -> str:
    """Returns the run's id or the model's address in the registry. Raises ConfigError without either."""
    from kerasweep.tracking.registry import SCHEME

    address = cfg.registered_model
    if address is None:
        return read_run_id(cfg)
    if not OmegaConf.is_missing(cfg, "run_id"):
        raise ConfigError(f"Give run_id or model, but not both: got run_id={cfg.run_id} model={address}.")
    if not address.startswith(SCHEME):
        raise ConfigError(
            f"model needs an address in MLflow's registry, as in model={SCHEME}digits@champion, but got "
            f"{address}. A run is named by run_id."
        )
    return str(address)


def model_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns arguments that name a model, as Hydra reads them."""
    # `model` is a group of config files, which Hydra would look for.
    return [quoted(re.sub(r"^model=", "registered_model=", argument)) for argument in arguments]


def quoted(argument: str) -> str:
    """Quotes texts that Hydra would read otherwise: an id such as 12e456, a reason with a comma."""
    key, _, text = argument.partition("=")
    if key not in QUOTED or text == "null" or text[:1] in ("'", '"'):
        return argument
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    tail = re.search(r"\\*$", escaped)
    return f"{key}='{escaped}{tail.group() if tail else ''}'"


def check_overrides(arguments: Sequence[str], command: str, plain: Collection[str] = ()) -> None:
    """Ends the command with a message and exit code 2 if an override cannot be parsed, or is misspelt.

    An override that Hydra cannot parse gives Hydra's message and a hint. A misspelt key or option gives a
    suggestion: Hydra would advise to add the key. A group that is set to a number or null, for which Hydra
    prints a traceback, gives the group's options.

    Args:
        arguments: All arguments of the command, Hydra's flags included.
        command: See `command_keys`.
        plain: Keys that are values in this command although another command has a group of that name.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    overrides: list[Override] = []
    given = read_flags(arguments)
    if given.shell_completion:  # install=bash and the like are no overrides
        return
    for text in given.overrides:
        if text.startswith("=") or not text.startswith("~") and "=" not in text:
            refuse(f"{text}: an override is written key=value.")
        try:
            overrides.append(parser.parse_override(text))
        except HydraException as error:
            refuse(f"{text}: {str(error).strip()}\n{HINT}")
    known = command_keys(command) | _groups()
    has_user_files = any(argument.lstrip("+").startswith(USER_FILES) for argument in arguments)
    added = {override.key_or_group for override in overrides if _adds(override)}
    for override in overrides:
        if _adds(override) and command == "train" and override.key_or_group in _groups():
            text = str(override.input_line).lstrip("+")
            refuse(f"{override.input_line}: {override.key_or_group} is there already. Write it as {text}.")
        if not (_adds(override) or override.is_delete()):
            _check_spelling(override.key_or_group, known | added, has_user_files)
        if _adds(override) and command != "train":
            _check_added(override.key_or_group, known, has_user_files)
        if override.is_sweep_override() and command != "train":
            key, _, values = str(override.input_line).partition("=")
            refuse(
                f"{override.input_line}: several values are written as a list here, as in {key}=[{values}]."
            )
        if override.key_or_group in plain or override.is_sweep_override():
            continue
        value = override.value()
        _check_type(command, override.key_or_group, value)
        if isinstance(value, str) and not has_user_files:
            _check_name(override.key_or_group, value)
        if not isinstance(value, (str, list, dict)):
            _check_option(override.key_or_group, str(override.input_line))


def read_flags(arguments: Sequence[str]) -> "Namespace":
    """Returns Hydra's flags and the overrides. An unknown flag ends the command with exit code 2."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign,assignment]
    return parser.parse_args(list(arguments))


def _adds(override: "Override") -> bool:
    return override.is_add() or override.is_force_add()


def _check_spelling(key: str, known: Collection[str], has_user_files: bool) -> None:
    """Refuses an unknown key that is similar to a known one; Hydra reports the others."""
    root = key.partition(".")[0]
    if root == "hydra" or not key.replace(".", "").isidentifier() or (has_user_files and root not in known):
        return
    if _is_known(key, known):
        return
    meant = suggestion(key, known)
    if meant:
        refuse(f"There is no key {key}. {meant}")


def _check_type(command: str, key: str, value: object) -> None:
    """Refuses a value of a command's own key that is no whole number or no boolean, where it needs one."""
    kind = get_type_hints(SCHEMAS[command]).get(key)
    if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
        refuse(f"{key} needs a whole number, but got {value}.")
    if kind is bool and not isinstance(value, bool):
        refuse(f"{key} needs true or false, but got {value}.")


def _check_added(key: str, known: Collection[str], has_user_files: bool) -> None:
    """Refuses a key that the command does not read; a user's own config groups may have any name."""
    is_users = has_user_files and key.partition(".")[0] not in known
    if not is_users and not _is_known(key, known):
        refuse(f"Nothing reads {key}. {suggestion(key, known)}".rstrip())


def _is_known(key: str, known: Collection[str]) -> bool:
    """Whether a key is known, or lies below a known one that is an open mapping."""
    is_below = any(key.startswith(f"{name}.") and _is_leaf(name, known) for name in known)
    return key in known or is_below or key.partition(".")[0] == "hydra"


def _is_leaf(key: str, known: Collection[str]) -> bool:
    """Whether a key holds a value or an open mapping, without known keys below it."""
    return not any(name.startswith(f"{key}.") for name in known)


def _check_name(group: str, name: str) -> None:
    """Refuses an unknown option that is similar to a known one; for others Hydra lists all options."""
    known = _options(group)
    meant = suggestion(name, known) if known and name not in known else ""
    if meant:
        refuse(f"There is no {group}={name}. {meant}")


def _check_option(group: str, override: str) -> None:
    options = _options(group)
    if options and not override.startswith("~"):
        refuse(f"{override}: {group} takes the name of one of its options: {', '.join(options)}.")


def _groups() -> set[str]:
    """Returns the names of the config groups: the folders of config files."""
    return {
        group.name for folder in FOLDERS for group in Path(config_folder(folder)).iterdir() if group.is_dir()
    }


def _options(group: str) -> list[str]:
    """Returns the options of a config group; empty if there is no such group."""
    if not group.isidentifier():
        return []
    folders = [Path(config_folder(folder)) / group for folder in FOLDERS]
    names = [file.name for folder in folders if folder.is_dir() for file in folder.iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def refuse(message: str, kind: type[KerasweepError] = ConfigError) -> NoReturn:
    """Ends the command with an error of the user and exit code 2."""
    message = as_started(message)
    if give_error(kind(message)):
        print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)
