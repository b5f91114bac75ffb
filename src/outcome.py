"""What crosses between a sweep and its trials: where a trial belongs, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrialRef:
    """Where a run belongs.

    kind: `run` for a single run, `trial` within a sweep. parent_run_id: MLflow's id of the
    sweep's run. tags: the swept axes by their short names. incumbents: the objective values
    of the best trials so far, one tuple a trial; a run that none of them dominates keeps its
    model. overrides: what distinguishes this run, as on the command line.
    """

    kind: str = "run"
    name: str | None = None
    study: str | None = None
    sweep: str | None = None
    number: int | None = None
    parent_run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    incumbents: tuple[tuple[float, ...], ...] = ()
    overrides: tuple[str, ...] = ()


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


def dominates(one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...]) -> bool:
    """Whether `one` is at least as good in every objective and better in one (Pareto dominance).

    Equal values do not dominate each other. directions: `maximize` or `minimize`, one per objective.
    """
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    gains = [sign * (a - b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)
