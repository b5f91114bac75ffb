"""Imports a function that a user names as `package.module:function`."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from kerasweep.errors import ConfigError, suggestion

# The keys that name a user's function.
TARGETS = ("trial.target", "model.target", "data.target")
# Words of modules that may define a function without writing its name.
DYNAMIC = {"__getattr__", "globals", "vars", "setattr", "exec"}
# The modules in which version 0.1 had Outcome and TrialRef.
OLD_NAMES = ("src.outcome", "src")


def find_module(target: str) -> ModuleSpec | None:
    """Finds the module of a target, also in the working directory. It is not imported, its packages are.

    Raises:
        ConfigError: The target is not written `package.module:function`.
        Exception: A package above it raises anything.
    """
    return importlib.util.find_spec(_module_of(target))


def check_target(target: str) -> None:
    """Raises ConfigError if there is no such module, or if its source nowhere has the function's name."""
    module_name, name = _module_of(target), target.partition(":")[2]
    try:
        spec = find_module(target)
    except ModuleNotFoundError as error:  # of a package above it, or of one that this imports
        if f"{module_name}.".startswith(f"{error.name}."):
            raise _not_found(target, module_name) from error
        return
    except Exception:  # a package of the user's may raise anything; its import in a worker tells why
        return
    if spec is None:
        raise _not_found(target, module_name)
    if spec.origin is None or not spec.origin.endswith(".py"):
        return
    try:
        code = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
    except OSError:  # the module lies in an archive
        return
    words = set(re.findall(r"\w+", code))
    if name not in words and not words & DYNAMIC and not re.search(r"import\s*\*", code):
        raise _without_function(target, module_name, name, words)


def _module_of(target: str) -> str:
    """Returns the name of the target's module, which may lie in the working directory."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name) or module_name.startswith("."):
        raise ConfigError(f"A target is written package.module:function, but got {target!r}.")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    return module_name


def _not_found(target: str, module_name: str) -> ConfigError:
    return ConfigError(
        f"The module {module_name} of {target!r} was not found. Put it into the working directory "
        "or install its package."
    )


def _without_function(target: str, module_name: str, name: str, known: Iterable[str] = ()) -> ConfigError:
    meant = suggestion(name, known, "Check its spelling.")
    return ConfigError(f"{module_name} has no {name}, which {target!r} names. {meant}")


def import_target(target: str) -> Callable[..., Any]:
    """Returns the function `package.module:function`, also of a module in the working directory.

    Raises:
        ConfigError: There is no such module or function. An error inside the module is not caught.
    """
    module_name, name = _module_of(target), target.partition(":")[2]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name in OLD_NAMES and not f"{module_name}.".startswith("src."):
            raise ConfigError(
                f"{target!r} imports src.outcome, which is kerasweep now. "
                "Write `from kerasweep import Outcome, TrialRef` there."
            ) from error
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise _not_found(target, module_name) from error
    function = getattr(module, name, None)
    if function is None:
        raise _without_function(target, module_name, name)
    if not callable(function):
        raise ConfigError(
            f"{target!r} must name a function, but {name} is a {type(function).__name__}. Name a function."
        )
    return function
