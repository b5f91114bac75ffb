"""Builds a sampler or a pruner that a user names as `package.module:name`."""

import inspect
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from kerasweep.config.target import check_arguments, import_target, plain_arguments
from kerasweep.errors import ConfigError

EXAMPLES = {"sampler": "optuna.samplers:NSGAIIISampler", "pruner": "optuna.pruners:PercentilePruner"}


def build_custom_sampler(cfg: DictConfig, seed: int) -> Any:
    """Returns the sampler of `sampler.target`, whose errors become a ConfigError.

    Args:
        cfg: The config group `sampler`.
        seed: Passed as `seed` if the target takes it, and `sampler.kwargs` does not give one.

    Raises:
        ConfigError: The target cannot be imported or called, or returns no sampler.
    """
    return _Guarded(_build("sampler", cfg, BaseSampler, {"seed": seed}), f"sampler.target={cfg.target}")


def build_custom_pruner(cfg: DictConfig) -> BasePruner:
    """Returns the pruner of `pruner.target`.

    Raises:
        ConfigError: As build_custom_sampler.
    """
    pruner: BasePruner = _build("pruner", cfg, BasePruner, {})
    # Samplers ask whether a study's pruner is Hyperband.
    is_known = isinstance(pruner, HyperbandPruner)
    return pruner if is_known else _GuardedPruner(pruner, f"pruner.target={cfg.target}")


def _build(group: str, cfg: DictConfig, kind: type, offered: dict[str, Any]) -> Any:
    make, origin, kwargs = (
        import_target(cfg.target),
        f"{group}.target={cfg.target}",
        plain_arguments(cfg.kwargs),
    )
    kwargs = {**{name: value for name, value in offered.items() if _takes(make, name)}, **kwargs}
    check_arguments(origin, make, kwargs=kwargs, key=f"{group}.kwargs")
    try:
        built = make(**kwargs)
    except Exception as error:  # a user's own function may raise anything
        raise ConfigError(
            f"{origin} raised {type(error).__name__}: {error}. Correct {group}.kwargs or the function."
        ) from error
    if not isinstance(built, kind):
        raise ConfigError(
            f"{origin} must return an optuna {kind.__name__}, but it returned {type(built).__name__}. "
            f"Name a class such as {EXAMPLES[group]}, or a function that returns its instance."
        )
    return built


def _takes(make: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(make).parameters
    except ValueError:  # a function of C may have none
        return False


class _Guarded:
    """Passes each call on to an object of the user's, and turns what it raises into a ConfigError."""

    def __init__(self, wrapped: Any, origin: str) -> None:
        self._wrapped = wrapped
        self._origin = origin

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._wrapped, name)

        def call(*arguments: Any) -> Any:
            try:
                return method(*arguments)
            except ModuleNotFoundError as error:  # Optuna imports torch and cmaes late
                raise ConfigError(
                    f"{self._origin} needs the package {error.name}, which is not installed. Install it, or "
                    "choose another one; the same command then continues the sweep."
                ) from error
            except Exception as error:  # a user's own sampler or pruner may raise anything
                raise ConfigError(
                    f"{self._origin} raised {type(error).__name__} in {name}: {error}. Correct it, or choose "
                    "another one; the same command then continues the sweep."
                ) from error

        return call


class _GuardedPruner(BasePruner):
    """A pruner of the user's, see `_Guarded`."""

    def __init__(self, pruner: BasePruner, origin: str) -> None:
        self._pruner: Any = _Guarded(pruner, origin)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return bool(self._pruner.prune(study, trial))
