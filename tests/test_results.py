"""Pareto dominance compares values, and each state has one name in Optuna and one in MLflow."""

import pytest
from optuna.trial import TrialState

from kerasweep.results import State, TrialRef, dominates

UP, DOWN = "maximize", "minimize"


@pytest.mark.parametrize(
    ("one", "other", "directions", "expected"),
    [
        ((0.9,), (0.8,), (UP,), True),
        ((0.9,), (0.8,), (DOWN,), False),
        ((0.9,), (0.9,), (UP,), False),
        ((0.9, 10), (0.9, 20), (UP, DOWN), True),
        ((0.9, 20), (0.8, 10), (UP, DOWN), False),
        ((0.8, 10), (0.9, 20), (UP, DOWN), False),
        ((0.9, 10), (0.8, 20), (UP, DOWN), True),
    ],
)
def test_dominates_if_nothing_is_worse_and_something_is_better(
    one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...], expected: bool
) -> None:
    assert dominates(one, other, directions) is expected


def test_run_without_a_number_is_single() -> None:
    assert TrialRef("run").is_single
    assert not TrialRef("run", number=0).is_single


@pytest.mark.parametrize(
    ("state", "optuna", "mlflow"),
    [
        ("running", "RUNNING", "RUNNING"),
        ("complete", "COMPLETE", "FINISHED"),
        ("pruned", "PRUNED", "FINISHED"),
        ("failed", "FAIL", "FAILED"),
        ("cancelled", "FAIL", "KILLED"),
        ("lost", "FAIL", "KILLED"),
    ],
)
def test_each_state_has_one_name_in_optuna_and_one_in_mlflow(state: str, optuna: str, mlflow: str) -> None:
    assert (State(state).optuna, State(state).mlflow) == (optuna, mlflow)


def test_every_finished_state_of_optuna_is_known() -> None:
    finished = [state.name for state in TrialState if state.is_finished()]
    assert {name: str(State.of_optuna(name)) for name in finished} == {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "FAIL": "failed",
    }
