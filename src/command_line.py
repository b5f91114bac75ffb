"""What the commands share: errors as one sentence, and a hint for overrides that Hydra cannot read."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from src.errors import KerasweepError

T = TypeVar("T")
HINT = (
    "hint: values with spaces, =, >, or letters beyond ASCII need quotes inside the shell's, as in "
    "'data.path=\"my folder\"'; null among choices comes by the comma form, as in data.limit=null,2000"
)


def run_command(function: Callable[[], T]) -> T:
    """Call it; an error that the user can mend is printed as one line and ends with exit code 2."""
    try:
        return function()
    except KerasweepError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def check_overrides(arguments: Sequence[str]) -> None:
    """Exit with code 1, Hydra's own message and a hint where an override cannot be parsed."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for argument in arguments:
        if argument.startswith("-") or "=" not in argument:
            continue
        try:
            parser.parse_override(argument)
        except HydraException as error:
            print(f"{error}\n{HINT}", file=sys.stderr)
            raise SystemExit(1) from None
