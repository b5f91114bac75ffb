"""Runs a command in the caller's process and returns its result."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kerasweep.api.caller import caller_kept
from kerasweep.commands.answer import asked
from kerasweep.commands.hydra_errors import hydra_error
from kerasweep.data.prepare import forget_data
from kerasweep.errors import ConfigError
from kerasweep.workers.template import template_stopped


def run_embedded(name: str, command: Callable[[], None], arguments: Sequence[str]) -> Any:
    """Runs a command as from a shell, and leaves the process as it was.

    Args:
        name: The command's, such as train.
        command: Reads its arguments from sys.argv.
        arguments: The arguments.

    Returns:
        The result that the command gives.

    Raises:
        KerasweepError: A mistake of the user.
        KeyboardInterrupt: Ctrl-C stopped it.
    """
    forget_data()  # the caller may have changed the files since the last command
    with caller_kept(), main_hidden(), template_stopped(), asked(raises=True) as answer:
        sys.argv = [f"kerasweep-{name}", *arguments]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
        try:
            command()
        except SystemExit as end:
            if answer.error is None and answer.result is None:  # the user's code ended the process
                raise ConfigError(
                    f"A function or module of yours called sys.exit({end.code!r}). Raise an error there."
                ) from end
        except Exception as error:  # Hydra has no common class for what it refuses; the rest is raised again
            refused = hydra_error(error)
            if refused is None:
                raise
            raise refused from error
    if answer.error is not None:
        raise answer.error
    return answer.result


def checked(overrides: Sequence[str]) -> list[str]:
    """Returns the overrides. Raises ConfigError unless they are a list of texts without flags."""
    if isinstance(overrides, (str, Mapping)) or not all(isinstance(override, str) for override in overrides):
        raise ConfigError(
            f"overrides must be a list of texts, but got {overrides!r}. "
            "Write it as in overrides=['model.kernel_size=3,5', 'training.epochs=5']."
        )
    for override in overrides:
        if override.startswith("-"):
            raise ConfigError(
                f"An override is written key=value, but got {override}. A folder of your own config files is "
                "named by config_dir."
            )
    return list(overrides)


def folder_flags(config_dir: str | Path | None) -> list[str]:
    """Returns the flags that name a folder of config files."""
    return [] if config_dir is None else ["--config-dir", str(config_dir)]


@contextmanager
def main_hidden() -> Iterator[None]:
    """Hides the caller's program from multiprocessing, which would execute it again in each worker.

    A program without `if __name__ == "__main__"`, as in three lines of a script, would then call itself.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__spec__ = None
    if "__file__" in hidden:
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
