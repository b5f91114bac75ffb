"""Checks the outcome of a training function, and converts its numbers to Python's types."""

import math
from typing import Any

from kerasweep.errors import DivergedError, TrainingError
from kerasweep.results import RETURNED, Outcome, State, TrialRef


def check_outcome(outcome: Outcome, ref: TrialRef, target: str, objectives: int) -> Outcome:
    """Returns the outcome with plain numbers and strings.

    Args:
        outcome: The returned outcome, perhaps with NumPy's numbers.
        ref: The trial's run.
        target: The function's name, for messages.
        objectives: How many values a complete trial has.

    Raises:
        DivergedError: An objective is not finite.
        TrainingError: Optuna or MLflow could not take the outcome. This fails only the trial; later, such an
            outcome would end the sweep.
    """
    if outcome.run_id != ref.run_id:
        raise TrainingError(
            f"trial.target={target} must return an Outcome of run_id={ref.run_id}, the trial's."
        )
    if outcome.state not in RETURNED:
        raise TrainingError(
            f"trial.target={target} must return one of {tuple(map(str, RETURNED))}, "
            f"but returned {outcome.state!r}."
        )
    values = tuple(_number(value, target, "values") for value in outcome.values)
    if outcome.is_poor and outcome.state != State.FAILED:
        raise TrainingError(
            f"trial.target={target} returned is_poor=True with the state {outcome.state}. "
            "It belongs to failed trials: a complete or pruned one tells the sampler its value."
        )
    if outcome.state == State.COMPLETE and (len(values) != objectives or not all(map(math.isfinite, values))):
        error = DivergedError if len(values) == objectives else TrainingError
        raise error(
            f"trial.target={target} must give a finite value for each of {objectives} objectives, "
            f"but gave {list(values)}."
        )
    return Outcome(
        state=outcome.state,
        run_id=ref.run_id,
        values=values,
        metrics={str(name): _number(value, target, name) for name, value in outcome.metrics.items()},
        best_epoch=None if outcome.best_epoch is None else int(outcome.best_epoch),
        seconds=_number(outcome.seconds, target, "seconds"),
        reason=None if outcome.reason is None else str(outcome.reason),
        traceback=None if outcome.traceback is None else str(outcome.traceback),
        weights=None if outcome.weights is None else str(outcome.weights),
        is_poor=bool(outcome.is_poor),
        tags={str(name): str(value) for name, value in outcome.tags.items()},
    )


def _number(value: Any, target: str, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"trial.target={target} must give numbers, but gave {name}={value!r:.100}."
        ) from error
