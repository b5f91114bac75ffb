"""Imports a function that a user names as `package.module:function`."""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.metrics import is_target
from kerasweep.errors import ConfigError, suggestion

# The keys that name a user's function.
TARGETS = ("trial.target", "model.target", "data.target", "optimizer.target")
# The keys whose values, or one of them, may be the name of a user's function.
KEYS_THAT_MAY_NAME_TARGETS = ("training.loss", "training.metrics", "training.callbacks")
# Words of modules that may define a function without writing its name.
DYNAMIC = {"__getattr__", "globals", "vars", "setattr", "exec"}
# The modules in which version 0.1 had Outcome and TrialRef.
OLD_NAMES = ("src.outcome", "src")
# Their import takes seconds, and the versions of packages are recorded.
LIBRARIES = ("keras", "tensorflow")


def named_targets(cfg: DictConfig) -> list[tuple[str, str]]:
    """Returns the keys of a configuration that name functions, each with the function's name."""
    named = [(key, OmegaConf.select(cfg, key)) for key in TARGETS]
    return [(key, str(target)) for key, target in named if target is not None] + [
        (key, target)
        for key in KEYS_THAT_MAY_NAME_TARGETS
        for target in targets_in(OmegaConf.select(cfg, key))
    ]


def targets_in(value: Any) -> list[str]:
    """Returns the functions that a key of KEYS_THAT_MAY_NAME_TARGETS names: a text or a list of texts."""
    texts = [value] if isinstance(value, str) else list(value or [])
    return [text for text in texts if is_target(text)]


def is_of_library(target: str) -> bool:
    """Whether a target names a class or function of Keras or TensorFlow."""
    return target.partition(":")[0].partition(".")[0] in LIBRARIES


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
    if is_of_library(target):
        return
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


def make_without_arguments(key: str, target: str) -> Any:
    """Calls the function, or the class, that a key names. Raises ConfigError if it needs arguments."""
    function = import_target(target)
    signature = _signature_of(function)
    if signature is not None:
        bind_nothing(key, target, signature)
    return function()


def bind_nothing(key: str, target: str, signature: inspect.Signature) -> None:
    """Raises ConfigError if the function that a key names needs arguments."""
    try:
        signature.bind()
    except TypeError as error:
        raise ConfigError(
            f"{key}={target} is called without arguments: {error}. Give it a default, or name a function "
            "without arguments that passes it."
        ) from error


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # a function of C may have none
        return None


def plain_arguments(kwargs: Any) -> dict[str, Any]:
    """Returns a key such as model.kwargs with plain lists and dicts instead of OmegaConf's."""
    if not kwargs:
        return {}
    plain = OmegaConf.to_container(kwargs, resolve=True) if OmegaConf.is_config(kwargs) else kwargs
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


def check_arguments(
    origin: str, function: Callable[..., Any], *positional: Any, kwargs: Mapping[str, Any], key: str
) -> None:
    """Raises ConfigError for keyword arguments that a function does not take.

    Args:
        origin: Names the function, as in `model.target=nets:small`.
        function: The function.
        positional: Its positional arguments.
        kwargs: Its keyword arguments.
        key: The key that they come from, such as `model.kwargs`.
    """
    signature = _signature_of(function)
    if signature is not None:
        bind_arguments(origin, signature, *positional, kwargs=kwargs, key=key)


def bind_arguments(
    origin: str, signature: inspect.Signature, *positional: Any, kwargs: Mapping[str, Any], key: str
) -> None:
    """Does the same for a signature."""
    try:
        signature.bind(*positional, **kwargs)
    except TypeError as error:
        unknown = [name for name in kwargs if name not in signature.parameters]
        meant = suggestion(unknown[0], list(signature.parameters)[len(positional) :]) if unknown else ""
        raise ConfigError(
            f"{origin} is called with {key} ({', '.join(kwargs) or 'empty'}), which it does not take: "
            f"{error}. It takes {signature}. {meant}".rstrip()
        ) from error
