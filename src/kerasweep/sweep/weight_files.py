"""Names files of weights in a journal relative to the sweep's folder, so that they can move with it."""

from dataclasses import replace
from pathlib import Path

from kerasweep.results import Outcome


def stored(outcome: Outcome, jobs: Path) -> Outcome:
    """Returns an outcome as it is written into the journal: its weights relative to the sweep's folder.

    Args:
        outcome: A worker's outcome.
        jobs: The folder of the sweep's jobs.
    """
    if outcome.weights is None or not is_within(Path(outcome.weights), jobs):
        return outcome
    return replace(outcome, weights=str(Path(outcome.weights).resolve().relative_to(jobs.resolve())))


def found(outcome: Outcome, jobs: Path) -> Outcome:
    """Returns an outcome of the journal with the absolute path of its weights, which may be missing.

    Journals of older versions have absolute paths. If the sweep's folder was moved or copied, the file below
    its new place counts.
    """
    if outcome.weights is None:
        return outcome
    file = Path(outcome.weights)
    if file.is_absolute() and jobs.name in file.parts:
        place = len(file.parts) - file.parts[::-1].index(jobs.name)
        moved = jobs.joinpath(*file.parts[place:])
        file = moved if moved.exists() else file
    return replace(outcome, weights=str(jobs / file))


def is_within(file: Path, jobs: Path) -> bool:
    """Whether a file lies in the sweep's folder, links followed: only such files are removed."""
    return file.resolve().is_relative_to(jobs.resolve())
