"""What the commands share: errors as one sentence, and a hint for overrides that Hydra cannot read."""

import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from kerasweep.config.folders import config_folder
from kerasweep.config.schemas import command_keys
from kerasweep.errors import KerasweepError, Terminated, suggestion

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

T = TypeVar("T")
FOLDERS = ("conf", "sweeps")
# Arguments that bring files of the user's, with keys of their own perhaps.
OWN_FILES = ("--config-", "-cd", "-cn", "-cp", "hydra.searchpath=")
HINT = (
    "hint: values with spaces, =, >, or letters beyond ASCII need quotes inside the shell's, as in "
    "'data.path=\"my folder\"'; null among choices comes by the comma form, as in data.limit=null,2000"
)


def run_command(function: Callable[[], T]) -> T:
    """Call it; an error that the user can mend is printed as one line and ends with exit code 2.

    Ctrl-C and Terminated end with exit codes 130 and 143, as a shell expects.
    """
    try:
        return function()
    except KeyboardInterrupt as interrupt:
        stop(interrupt)
    except KerasweepError as error:
        sentence = " ".join(str(error).split("\n"))
    except (MissingMandatoryValue, InterpolationResolutionError) as error:
        key = f"{error.full_key}: " if error.full_key else ""
        sentence = key + str(error).partition("\n")[0]
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def stop(interrupt: KeyboardInterrupt) -> NoReturn:
    """End after Ctrl-C or SIGTERM, with the exit code of a process that the signal had killed."""
    print("stopped", file=sys.stderr)
    number = signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT
    raise SystemExit(128 + number) from None


def check_overrides(arguments: Sequence[str], command: str, plain: Collection[str] = ()) -> None:
    """Exit with code 1, Hydra's own message and a hint where an override cannot be parsed.

    arguments: of the whole command, Hydra's flags among them. A group that is given a number or
    null, of which Hydra says nothing but a traceback, is named with its options. A misspelt key is
    answered with what was meant, and exit code 2: Hydra would have it added. command: see
    `command_keys`. plain: keys that hold a value in this command, though another command has a group of
    that name.
    """
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    overrides: list[Override] = []
    for text in get_args_parser().parse_args(list(arguments)).overrides:
        if text.startswith("=") or not text.startswith("~") and "=" not in text:
            _refuse(f"{text}: an override is written key=value.")
        try:
            overrides.append(parser.parse_override(text))
        except HydraException as error:
            _refuse(f"{text}: {str(error).strip()}\n{HINT}")
    known = command_keys(command) | _groups()
    has_own_files = any(argument.lstrip("+").startswith(OWN_FILES) for argument in arguments)
    added = {override.key_or_group for override in overrides if _adds(override)}
    for override in overrides:
        if not (_adds(override) or override.is_delete()):
            _check_spelling(override.key_or_group, known | added, has_own_files)
        if override.key_or_group in plain or override.is_sweep_override():
            continue
        value = override.value()
        if isinstance(value, str) and not has_own_files:
            _check_name(override.key_or_group, value)
        if not isinstance(value, (str, list, dict)):
            _check_option(override.key_or_group, str(override.input_line))


def _adds(override: "Override") -> bool:
    return override.is_add() or override.is_force_add()


def _check_spelling(key: str, known: Collection[str], has_own_files: bool) -> None:
    """Refuse a key that no configuration has, where it is like one; Hydra speaks of the others."""
    root = key.partition(".")[0]
    if root == "hydra" or not key.replace(".", "").isidentifier() or (has_own_files and root not in known):
        return
    if any(key == each or key.startswith(f"{each}.") and _is_leaf(each, known) for each in known):
        return
    meant = suggestion(key, known)
    if meant:
        print(f"error: There is no key {key}. {meant}", file=sys.stderr)
        raise SystemExit(2)


def _is_leaf(key: str, known: Collection[str]) -> bool:
    """Whether it holds a value, which may be an open mapping, and no keys with types of their own."""
    return not any(each.startswith(f"{key}.") for each in known)


def _check_name(group: str, name: str) -> None:
    """Refuse an option that a group has not, where it is like one; of others Hydra lists all that it has."""
    known = _options(group)
    meant = suggestion(name, known) if known and name not in known else ""
    if meant:
        print(f"error: There is no {group}={name}. {meant}", file=sys.stderr)
        raise SystemExit(2)


def _check_option(group: str, override: str) -> None:
    options = _options(group)
    if options and not override.startswith("~"):
        _refuse(f"{override}: {group} takes the name of one of its options: {', '.join(options)}.")


def _groups() -> set[str]:
    """The folders of options."""
    return {
        each.name for folder in FOLDERS for each in Path(config_folder(folder)).iterdir() if each.is_dir()
    }


def _options(group: str) -> list[str]:
    """What the folder of that name offers; empty where there is none."""
    if not group.isidentifier():
        return []
    folders = [Path(config_folder(folder)) / group for folder in FOLDERS]
    found = [file.name for folder in folders if folder.is_dir() for file in folder.iterdir()]
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def _refuse(message: str) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(1)
