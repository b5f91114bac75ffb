"""What crosses between a sweep and its trials: where a trial belongs, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# The file in its job's folder in which a trial leaves its weights, see Outcome.left.
LEFT = "best.npz"


@dataclass(frozen=True)
class TrialRef:
    """A run that is open for a trial to fill.

    run_id: MLflow's. number: the trial's within its sweep, None for a single run. incumbents:
    the objective values of the trials so far, one tuple a trial; a run that one of them
    dominates does not keep its model. overrides: what distinguishes this run, as on the command line.
    repeat: which of the trial's seeds, from 0. resume_from: the job folder of an attempt that died,
    whose checkpoint goes on. defers_model: whether the model of a candidate can wait until the end, when it
    is made of the weights that it leaves.
    """

    run_id: str
    number: int | None = None
    incumbents: tuple[tuple[float, ...], ...] = ()
    overrides: tuple[str, ...] = ()
    repeat: int = 0
    resume_from: Path | None = None
    defers_model: bool = False

    @property
    def is_single(self) -> bool:
        return self.number is None


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    state: `complete`, `pruned` or `failed`; `lost` where a full disk ended it. values: one per
    objective, at the best epoch (empty when failed). metrics: everything measured at the best
    epoch. seconds: training alone. reason: why it was pruned or failed. seeds: the first
    objective of each seed, where a trial trained several; values and metrics are their means then.
    left: the file in which a candidate for the best of its sweep left its weights.
    """

    state: str
    run_id: str
    values: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    seconds: float = 0.0
    reason: str | None = None
    traceback: str | None = None
    seeds: tuple[float, ...] = ()
    left: str | None = None


def dominates(one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...]) -> bool:
    """Whether `one` is at least as good in every objective and better in one (Pareto dominance).

    Equal values do not dominate each other. directions: `maximize` or `minimize`, one per objective.
    """
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    gains = [sign * (a - b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def mean_outcome(run_id: str, outcomes: Sequence[Outcome]) -> Outcome:
    """What a trial of several seeds came to: the means of complete outcomes, the sum of their seconds."""
    count = len(outcomes)
    values = tuple(sum(column) / count for column in zip(*(one.values for one in outcomes), strict=True))
    names = set.intersection(*(set(one.metrics) for one in outcomes))
    return Outcome(
        state="complete",
        run_id=run_id,
        values=values,
        metrics={name: sum(one.metrics[name] for one in outcomes) / count for name in sorted(names)},
        seconds=sum(one.seconds for one in outcomes),
        seeds=tuple(one.values[0] for one in outcomes),
    )
