"""What crosses between a sweep and its trials: where a trial belongs, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TrialRef:
    """A run that is open for a trial to fill.

    run_id: MLflow's. number: the trial's within its sweep, None for a single run. incumbents:
    the objective values of the trials so far, one tuple a trial; a run that one of them
    dominates does not keep its model. overrides: what distinguishes this run, as on the command line.
    repeat: which of the trial's seeds, from 0. resume_from: the job folder of an attempt that died,
    whose checkpoint goes on.
    """

    run_id: str
    number: int | None = None
    incumbents: tuple[tuple[float, ...], ...] = ()
    overrides: tuple[str, ...] = ()
    repeat: int = 0
    resume_from: Path | None = None

    @property
    def is_single(self) -> bool:
        return self.number is None


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    state: `complete`, `pruned` or `failed`. values: one per objective, at the best epoch
    (empty when failed). metrics: everything measured at the best epoch. seconds: training
    alone. reason: why it was pruned or failed.
    """

    state: str
    run_id: str
    values: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    seconds: float = 0.0
    reason: str | None = None
    traceback: str | None = None


def dominates(one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...]) -> bool:
    """Whether `one` is at least as good in every objective and better in one (Pareto dominance).

    Equal values do not dominate each other. directions: `maximize` or `minimize`, one per objective.
    """
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    gains = [sign * (a - b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)
