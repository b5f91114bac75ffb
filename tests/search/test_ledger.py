"""Some trials count toward the total, and trials whose owner died are retried or failed."""

from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import Trial, TrialState

from kerasweep.results import Outcome
from kerasweep.search.ledger import (
    LOST,
    REJECTED,
    RESULT,
    RETRY_OF,
    clean_params,
    counts,
    fail_and_retry,
    note_progress,
    note_repeat,
    settle,
)
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.driver import recover_trials

SPACE = {"a": "range(6)", "b": {"range": "range(0.1,0.4,0.1)", "when": {"a": [1, 2, 3, 4, 5]}}}
RESULT_OF_STATE = {"complete": (0.5,), "pruned": (), "failed": ()}


def start(sweep: Sweep, owner: dict[str, Any] | None) -> Trial:
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    if owner is not None:
        trial.set_user_attr(OWNER, owner)
    return trial


def waiting(sweep: Sweep) -> list[Params]:
    states = (TrialState.WAITING,)
    return [clean_params(sweep.space, trial) for trial in sweep.study.get_trials(states=states)]


def test_lost_trial_is_enqueued_again_with_the_same_params(
    sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    sweep = sweep_of(SPACE)
    params = dict(start(sweep, dead_owner).params)
    (lost,) = recover_trials(sweep_of(SPACE))
    assert lost.number == 0
    trial = sweep.study.trials[0]
    assert trial.state is TrialState.FAIL and trial.user_attrs[LOST] and not counts(trial)
    assert sweep.study.trials[1].user_attrs == {"retry_of": 0, "retries": 1}
    again = sweep.study.ask()
    assert (again.number, sweep.space.suggest(again)) == (1, clean_params(sweep.space, trial))
    assert again.params == params


@pytest.mark.parametrize("how", ["checkpoint", "seed"])
def test_trial_that_progresses_keeps_its_retries(
    how: str, sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    sweep = sweep_of(SPACE)
    for attempt in range(5):
        trial = start(sweep, dead_owner)
        if how == "checkpoint":
            note_progress(trial, 0, attempt + 2)
        else:
            note_repeat(trial, attempt, Outcome("complete", f"run-{attempt}", (0.5,)))
        recover_trials(sweep)
    assert not any(counts(trial) for trial in sweep.study.trials[:5])
    (again,) = sweep.study.get_trials(states=(TrialState.WAITING,))
    assert again.user_attrs["retries"] == 0


@pytest.mark.parametrize("epochs", [(1, 1, 1), (3, 3, 3, 3), (3, 1, 2, 3), (2, 3, 3, 3, 3)])
def test_epochs_that_are_reported_again_are_no_progress(
    epochs: tuple[int, ...], sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    """A training that continues from a checkpoint reports the restored epochs again and then kills its owner.

    `epochs` holds the last epoch that each attempt reported. Epoch 1 may have no checkpoint yet.
    """
    sweep = sweep_of(SPACE)
    for last in epochs:
        trial = start(sweep, dead_owner)
        for epoch in range(1, last + 1):
            note_progress(trial, 0, epoch)
        recover_trials(sweep)
    assert [counts(trial) for trial in sweep.study.trials] == [False] * (len(epochs) - 1) + [True]


def test_second_recovery_finds_nothing(sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]) -> None:
    start(sweep_of(SPACE), dead_owner)
    assert [trial.number for trial in recover_trials(sweep_of(SPACE))] == [0]
    assert recover_trials(sweep_of(SPACE)) == []
    assert len(waiting(sweep_of(SPACE))) == 1


def test_trials_of_living_owners_keep_running(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    for _ in range(2):
        start(sweep, this_owner())
    assert recover_trials(sweep) == []
    assert [trial.state for trial in sweep.study.trials] == [TrialState.RUNNING] * 2


def test_trial_that_kills_its_owner_is_tried_three_times_and_then_counts_as_failed(
    sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    sweep = sweep_of(SPACE)
    for _ in range(3):
        start(sweep, dead_owner)
        recover_trials(sweep)
    trials = sweep.study.trials
    assert [trial.state for trial in trials] == [TrialState.FAIL] * 3
    assert [counts(trial) for trial in trials] == [False, False, True]
    assert trials[0].params == trials[1].params == trials[2].params


def test_trial_that_the_user_stopped_is_always_enqueued_again(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    params = []
    for _ in range(5):
        trial = start(sweep, this_owner())
        params.append(trial.params)
        fail_and_retry(sweep.study, trial.number, blamed=False)
    assert all(one == params[0] for one in params)
    assert not any(counts(trial) for trial in sweep.study.trials[:5])
    assert len(waiting(sweep)) == 1


def test_trial_with_a_result_is_completed_and_not_lost(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    trial = start(sweep, this_owner())
    trial.set_user_attr(RESULT, {"state": "complete", "values": [0.5]})
    assert not fail_and_retry(sweep.study, trial.number, blamed=False)
    assert not fail_and_retry(sweep.study, trial.number, blamed=False)
    assert [each.value for each in sweep.study.trials] == [0.5] and not waiting(sweep)


def test_partly_suggested_retry_keeps_its_whole_configuration(
    sweep_of: Callable[..., Sweep],
) -> None:
    sweep = sweep_of(SPACE)
    sweep.study.enqueue_trial({"a": 5, "b": 0.2})
    trial = sweep.study.ask()
    sweep.space.axes[0].suggest(trial)
    recover_trials(sweep)
    assert waiting(sweep) == [{"a": 5, "b": 0.2}]


def test_retry_that_was_rejected_while_its_trial_ran_is_enqueued_again(
    sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    sweep = sweep_of(SPACE)
    params = dict(start(sweep, dead_owner).params)
    sweep.study.enqueue_trial(params, user_attrs={RETRY_OF: 0, "retries": 1})
    rejected = start(sweep, None)
    rejected.set_user_attr(REJECTED, "it was tried already")
    sweep.study.tell(rejected, state=TrialState.FAIL)
    recover_trials(sweep)
    assert len(waiting(sweep)) == 1 and sweep.study.trials[2].user_attrs[RETRY_OF] == 0


@pytest.mark.parametrize("with_owner", [True, False])
def test_trial_without_params_is_lost_without_a_successor(
    with_owner: bool, sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    sweep = sweep_of(SPACE)
    trial = sweep.study.ask()
    if with_owner:
        trial.set_user_attr(OWNER, dead_owner)
    assert [lost.number for lost in recover_trials(sweep)] == [0]
    assert [counts(trial) for trial in sweep.study.trials] == [False]


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_result_of_a_dead_owner_reaches_optuna(
    state: str, sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    sweep = sweep_of(SPACE)
    trial = start(sweep, dead_owner)
    values = list(RESULT_OF_STATE[state])
    trial.set_user_attr(RESULT, {"state": state, "values": values})
    assert recover_trials(sweep) == []
    (told,) = sweep.study.trials
    expected = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    assert told.state is expected[state]
    assert told.values == (values or None)
    assert counts(told)


def test_settling_writes_the_result(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    numbers = {"best_epoch": 3, "seconds": 1.5, "weights": "jobs/7/best.npz"}
    outcome = Outcome("complete", "run-7", (0.5,), {"val_loss": 0.25}, **numbers)
    settle(sweep.study, start(sweep, this_owner()), outcome)
    (trial,) = sweep_of(SPACE).study.trials
    assert trial.values == [0.5]
    assert trial.user_attrs[RESULT] == {
        "state": "complete",
        "values": [0.5],
        "run_id": "run-7",
        "best_epoch": 3,
        "seconds": 1.5,
        "metrics": {"val_loss": 0.25},
        "reason": None,
        "seeds": [],
        "left": "jobs/7/best.npz",
    }


def test_failed_trial_keeps_its_reason_and_counts(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    settle(sweep.study, start(sweep, this_owner()), Outcome("failed", "run", reason="ValueError: no"))
    (trial,) = sweep.study.trials
    assert trial.state is TrialState.FAIL and counts(trial)
    assert trial.user_attrs[RESULT]["reason"] == "ValueError: no"


def test_waiting_trial_shows_its_enqueued_params(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    sweep.study.enqueue_trial({"a": 2, "b": 0.1 + 0.2, "gone": 1})
    assert waiting(sweep) == [{"a": 2, "b": 0.3}]
