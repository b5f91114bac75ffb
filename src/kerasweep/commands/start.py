"""Starts a command. It imports nothing else before Ctrl-C is answered.

From the first line of a command on, Ctrl-C prints "stopped" and ends the command with
exit code 130. Before, while Python starts, Python prints a traceback and is killed by the signal, which a
shell shows as 130 too.
"""

import os
import sys

JSON = "--json"


def train() -> None:
    """Runs `kerasweep-train`."""
    _start("train")


def compare() -> None:
    """Runs `kerasweep-compare`."""
    _start("compare")


def predict() -> None:
    """Runs `kerasweep-predict`."""
    _start("predict")


def rerun() -> None:
    """Runs `kerasweep-rerun`."""
    _start("rerun")


def refit() -> None:
    """Runs `kerasweep-refit`."""
    _start("refit")


def export() -> None:
    """Runs `kerasweep-export`."""
    _start("export")


def promote() -> None:
    """Runs `kerasweep-promote`."""
    _start("promote")


def _start(command: str) -> None:
    _open_standard_streams()
    try:
        from importlib import import_module

        from kerasweep.workers.signals import hold_interrupts, release_interrupts

        if not any(argument.startswith("hydra/sweeper=") for argument in sys.argv[1:]):
            hold_interrupts()  # another sweeper would not release them
        module = f"kerasweep.commands.{command}"
        try:
            if JSON in sys.argv[1:]:
                from kerasweep.commands.json_answer import answer_in_json

                sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != JSON]
                answer_in_json(lambda: import_module(module).run())
            else:
                import_module(module).run()
        finally:
            release_interrupts()
    except KeyboardInterrupt as interrupt:
        from kerasweep.commands.command_line import stop

        stop(interrupt)


def _open_standard_streams() -> None:
    """Opens closed standard streams, and lets a terminal of few characters show others as a question mark.

    The next file that is opened, perhaps a database, would take the place of a closed stream, and what is
    printed there would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
