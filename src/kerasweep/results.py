"""Defines what a sweep and its trials exchange: the run to record a trial in, and its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

# The file with a trial's weights in its job's folder, see Outcome.weights.
WEIGHTS = "best.npz"
# Values are compared after rounding: the last digits of a mean depend on the order of its values.
DECIMALS = 12
# Takes the epoch, from 1, and the first objective, None if it was not measured. Returns whether to stop.
ReportEpoch = Callable[[int, float | None], bool]


class State(StrEnum):
    """The state of a trial or a run; the value is MLflow's tag `state` and is stored with the trial.

    The properties `optuna` and `mlflow` are the only translation to the states of these libraries.
    """

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"  # ended early by a pruner, or dropped after some of its seeds
    FAILED = "failed"  # ended by an error in its training
    CANCELLED = "cancelled"  # stopped by the user, or by the end of its driver
    LOST = "lost"  # ended without its fault, such as by a full disk: it is trained again

    @property
    def optuna(self) -> str:
        """The name of Optuna's TrialState."""
        return {State.RUNNING: "RUNNING", State.COMPLETE: "COMPLETE", State.PRUNED: "PRUNED"}.get(
            self, "FAIL"
        )

    @property
    def mlflow(self) -> str:
        """The status of MLflow's run."""
        return _MLFLOW[self]

    @classmethod
    def of_optuna(cls, name: str) -> "State":
        """Returns the state of a finished trial in Optuna.

        Args:
            name: The name of a TrialState: COMPLETE, PRUNED or FAIL.
        """
        return {"COMPLETE": cls.COMPLETE, "PRUNED": cls.PRUNED, "FAIL": cls.FAILED}[name]


_MLFLOW = {
    State.RUNNING: "RUNNING",
    State.COMPLETE: "FINISHED",
    State.PRUNED: "FINISHED",
    State.FAILED: "FAILED",
    State.CANCELLED: "KILLED",
    State.LOST: "KILLED",
}

# The states that a training function may return.
RETURNED = (State.COMPLETE, State.PRUNED, State.FAILED)


@dataclass(frozen=True)
class TrialRef:
    """An open run, in which a trial records itself.

    Example:
        >>> TrialRef("67f485f8", number=3).is_single
        False
    """

    run_id: str  # MLflow's
    number: int | None = None  # the trial's within its sweep, None for a single run
    # The objective values of the complete trials, with one objective only of the best: a trial that one of
    # them dominates saves no weights.
    incumbents: tuple[tuple[float, ...], ...] = ()
    overrides: tuple[str, ...] = ()  # the differences to other runs, as on the command line
    repeat: int = 0  # the index of the trial's seed, from 0
    resume_from: Path | None = None  # the job folder of an attempt that died, to continue its checkpoint
    weights: Path | None = None  # the file of the weights to record a model of, instead of training
    # Whether the values are cross-fitted; else they are the best epoch's, as in sweeps of older versions.
    is_cross_fitted: bool = True
    # Whether chance decides which classes give the first half their odd image; else the first classes do, as
    # in sweeps of older versions.
    draws_odd: bool = True
    # The digests of the data, None if unknown, and of the user's code by target: the process that trains
    # compares these with its own.
    data_digest: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    # Tags that name the code, see tracking/source.py: git's commit and the digest of its diff.
    source: Mapping[str, str] = field(default_factory=dict)
    is_tuning: bool = False  # whether it tunes nuisance values: then it is no candidate for the best
    # Whether a candidate's model can be made at the end of the sweep, from its saved weights.
    defers_model: bool = False

    @property
    def is_single(self) -> bool:
        """Whether this is a single run, not a trial of a sweep."""
        return self.number is None


@dataclass(frozen=True)
class Outcome:
    """The result of a trial, as a training function returns it.

    Example:
        >>> Outcome("complete", run_id="67f485f8", values=(0.97,), metrics={"val_accuracy": 0.97}).values
        (0.97,)
    """

    state: str  # complete, pruned or failed; lost if a full disk ended it
    run_id: str  # the trial's, from TrialRef.run_id
    values: tuple[float, ...] = ()  # one per objective, cross-fitted if from validation; empty when failed
    # As its run shows them: a metric of each epoch, such as val_accuracy, is the last epoch's.
    metrics: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int | None = None  # from 1
    seconds: float = 0.0  # training alone
    reason: str | None = None  # why it was pruned or failed
    traceback: str | None = None
    # The first objective of each seed if a trial trained several; values and metrics are then means.
    seeds: tuple[float, ...] = ()
    weights: str | None = None  # the file with the weights of a candidate for the best of its sweep
    # Whether a failure shows that the configuration is poor: a loss is not finite, or a limit was exceeded.
    is_poor: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)  # that its run gets again if MLflow loses the run

    @property
    def objectives(self) -> dict[str, float]:
        """The values as metrics of the run: `objective`, `objective_2`, …"""
        return {objective_name(number): value for number, value in enumerate(self.values)}


def objective_name(number: int) -> str:
    """Returns the metric with the value of an objective, counted from 0."""
    return "objective" if number == 0 else f"objective_{number + 1}"


def sign_of(direction: str) -> int:
    """Returns 1 for `maximize` and -1 for `minimize`: the product of sign and value is to be maximized."""
    return 1 if direction == "maximize" else -1


def dominates(one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...]) -> bool:
    """Returns whether `one` is at least as good in every objective and better in one (Pareto dominance).

    Args:
        one: A value per objective. Equal values do not dominate each other.
        other: A value per objective.
        directions: `maximize` or `minimize`, one per objective.
    """
    gains = [sign_of(way) * (a - b) for way, a, b in zip(directions, one, other, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def mean_outcome(run_id: str, outcomes: Sequence[Outcome]) -> Outcome:
    """Returns the outcome of a trial of several seeds: means of complete outcomes, summed seconds."""
    count = len(outcomes)
    values = tuple(
        sum(column) / count for column in zip(*(outcome.values for outcome in outcomes), strict=True)
    )
    names = set.intersection(*(set(outcome.metrics) for outcome in outcomes))
    return Outcome(
        state=State.COMPLETE,
        run_id=run_id,
        values=values,
        metrics={name: sum(outcome.metrics[name] for outcome in outcomes) / count for name in sorted(names)},
        seconds=sum(outcome.seconds for outcome in outcomes),
        seeds=tuple(outcome.values[0] for outcome in outcomes),
    )
