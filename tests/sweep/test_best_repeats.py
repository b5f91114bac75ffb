"""At the end the best trial's model must be recorded, and the weights of the others are deleted."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from kerasweep.results import Outcome
from kerasweep.search.ledger import RESULT, as_outcome, fail_and_retry, note_repeat, settle
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.best_repeats import delete_other_weights, due_winners, lost_winners

SPACE = {"a": "range(9)"}


@pytest.fixture
def left(tmp_path: Path) -> Callable[..., Outcome]:
    """Returns a function that makes the outcome of a trial that saved its weights."""

    def make(name: str, *values: float) -> Outcome:
        file = tmp_path / name
        file.touch()
        return Outcome("complete", f"run-{name}", values, weights=str(file))

    return make


def train(sweep: Sweep, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        trial = sweep.study.ask()
        sweep.space.suggest(trial)
        settle(sweep.study, trial, outcome)


def test_best_trial_is_recorded_once(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = sweep_of(SPACE)
    train(sweep, left("0", 0.5), left("1", 0.9), left("2", 0.9), Outcome("complete", "run-3", (0.1,)))
    (due,) = due_winners(sweep)
    assert (due.number, due.repeat, due.outcome.run_id) == (1, 0, "run-1")
    assert set(due.params) == {"a"}
    delete_other_weights(sweep, [due])
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ""] == ["1"]
    Path(str(due.outcome.weights)).unlink()
    assert due_winners(sweep) == []


def test_weights_are_stored_under_the_name_that_older_journals_use(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = sweep_of(SPACE)
    train(sweep, left("0", 0.5))
    stored = sweep.study.trials[0].user_attrs[RESULT]
    assert stored["left"] == str(tmp_path / "0") and "weights" not in stored
    assert as_outcome(stored).weights == str(tmp_path / "0")


def test_pareto_front_is_recorded_with_two_objectives(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome]
) -> None:
    sweep = sweep_of(SPACE, directions=("maximize", "minimize"))
    train(sweep, left("0", 0.5, 10.0), left("1", 0.9, 30.0), left("2", 0.4, 20.0))
    assert [one.number for one in due_winners(sweep)] == [0, 1]


def test_best_repeat_of_the_best_trial_is_recorded(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome]
) -> None:
    sweep = replace(sweep_of(SPACE), repeats=3)
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    for seed, value in enumerate((0.5, 0.8, 0.8)):
        note_repeat(trial, seed, left(f"seed-{seed}", value))
    settle(sweep.study, trial, Outcome("complete", "run", (0.7,), seeds=(0.5, 0.8, 0.8)))
    (due,) = due_winners(sweep)
    assert (due.repeat, due.outcome.run_id) == (1, "run-seed-1")


def interrupted(sweep_of: Callable[..., Sweep], left: Callable[..., Outcome]) -> Sweep:
    """Returns a sweep with a complete trial, and one that waits for a retry after its first repeat."""
    sweep = replace(sweep_of(SPACE), repeats=2)
    train(sweep, left("0", 0.5))
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    note_repeat(trial, 0, left("1-0", 0.9))
    fail_and_retry(sweep.study, trial.number, blamed=False)
    return sweep


def test_weights_of_a_waiting_trial_are_kept(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome]
) -> None:
    """The user stopped the trial after its first repeat; its second one may make it the best trial."""
    sweep = interrupted(sweep_of, left)
    waiting = due_winners(sweep)
    assert [one.number for one in waiting] == [0]
    delete_other_weights(sweep, waiting)
    train(sweep, Outcome("complete", "run", (0.8,), seeds=(0.9, 0.7)))
    (due,) = due_winners(sweep)
    assert (due.number, due.repeat, due.outcome.run_id) == (2, 0, "run-1-0")


def test_weights_of_a_lost_attempt_are_deleted_once_its_retry_is_worse(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = interrupted(sweep_of, left)
    train(sweep, Outcome("complete", "run", (0.1,), seeds=(0.1, 0.1)))
    delete_other_weights(sweep, due_winners(sweep))
    assert (tmp_path / "0").exists() and not (tmp_path / "1-0").exists()


def test_nothing_is_recorded_while_another_driver_trains(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = sweep_of(SPACE)
    train(sweep, left("0", 0.5), left("1", 0.9))
    sweep.study.ask()
    assert due_winners(sweep) == []
    delete_other_weights(sweep, [])
    assert (tmp_path / "0").exists() and (tmp_path / "1").exists()


def test_winner_of_a_driver_that_ended_meanwhile_keeps_its_weights(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = sweep_of(SPACE)
    train(sweep, left("0", 0.5), left("1", 0.7))
    due = due_winners(sweep)
    train(sweep, left("2", 0.9))
    delete_other_weights(sweep, due)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == "") == ["1", "2"]


def test_weights_are_kept_where_a_later_seed_may_change_the_winner(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    """The sweep is stopped after four of six trials; the winner's mean falls below the other's later."""
    sweep = sweep_of({"training.seed": "range(3)", "a": "1,2"}, total=6, sampler="grid")

    def train_next(params: Params, value: float) -> None:
        sweep.study.enqueue_trial(params)
        train(sweep, left(f"{params['a']}-{params['training.seed']}", value))

    for a, value in ((1, 0.9), (2, 0.8)):
        for seed in (0, 1):
            train_next({"training.seed": seed, "a": a}, value)
    (winner,) = due_winners(sweep)
    assert winner.params["a"] == 1
    delete_other_weights(sweep, [winner], is_end=False)
    train_next({"training.seed": 2, "a": 1}, 0.3)
    train_next({"training.seed": 2, "a": 2}, 0.75)
    (winner,) = due_winners(sweep)
    assert winner.params == {"training.seed": 0, "a": 2}
    assert lost_winners(sweep) == []
    delete_other_weights(sweep, [winner])
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ""] == ["2-0"]
    Path(str(winner.outcome.weights)).unlink()
    assert lost_winners(sweep) == [winner]


def test_weights_of_earlier_losers_are_deleted_at_a_stop_where_no_seed_is_an_axis(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = sweep_of(SPACE)
    train(sweep, left("0", 0.5), left("1", 0.7))
    delete_other_weights(sweep, due_winners(sweep), is_end=False)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ""] == ["1"]


def test_sweep_without_a_complete_trial_has_nothing_to_record(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    train(sweep, Outcome("failed", "run-0", reason="so"))
    assert due_winners(sweep) == []


def test_weights_that_no_trial_names_are_removed_once_nothing_runs(
    sweep_of: Callable[..., Sweep], left: Callable[..., Outcome], tmp_path: Path
) -> None:
    """Such weights are complete or partial files of a driver that died before it stored their trial."""
    sweep, jobs = sweep_of(SPACE), tmp_path / "jobs" / "s-0"
    sweep = replace(sweep, jobs=jobs)
    for name in ("0", "1", "2"):
        (jobs / name).mkdir(parents=True)
    train(sweep, left("jobs/s-0/0/best.npz", 0.5))
    (jobs / "1" / "best.npz").touch()
    (jobs / "2" / "best.npz.tmp").touch()
    running = sweep.study.ask()
    delete_other_weights(sweep, due_winners(sweep))
    assert len(list(jobs.rglob("best.npz*"))) == 3
    sweep.study.tell(running, state=TrialState.FAIL)
    delete_other_weights(sweep, due_winners(sweep))
    assert list(jobs.rglob("best.npz*")) == [jobs / "0" / "best.npz"]


def train_on(sweep: Sweep, host: str, file: Path) -> None:
    """Trains a trial as a driver on a machine does, which saves its weights there."""
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    trial.set_user_attr(OWNER, {**this_owner(), "host": host})
    settle(sweep.study, trial, Outcome("complete", "run", (0.9,), weights=str(file)))


@pytest.mark.parametrize(
    ("host", "folder", "expected"),
    [
        ("node-a", "elsewhere", "node-a"),
        ("node-a", ".", None),  # the machines share the folder, and someone removed the file
        (socket.gethostname(), "elsewhere", None),
    ],
)
def test_weights_that_another_machine_keeps_are_told_from_lost_ones(
    sweep_of: Callable[..., Sweep], tmp_path: Path, host: str, folder: str, expected: str | None
) -> None:
    sweep = sweep_of(SPACE)
    train_on(sweep, host, tmp_path / folder / "best.npz")
    (lost,) = lost_winners(sweep)
    assert (lost.number, lost.host) == (0, expected)


def test_weights_of_a_repeat_are_on_the_machine_that_trained_it(
    sweep_of: Callable[..., Sweep], tmp_path: Path
) -> None:
    """Its driver died after the first repeat, and this one trained the second."""
    sweep = replace(sweep_of(SPACE), repeats=2)
    for host, repeat, value in (("node-a", 0, 0.9), (socket.gethostname(), 1, 0.7)):
        trial = sweep.study.ask()
        sweep.space.suggest(trial)
        trial.set_user_attr(OWNER, {**this_owner(), "host": host})
        file = tmp_path / f"{trial.number}/best.npz"
        note_repeat(trial, repeat, Outcome("complete", f"run-{repeat}", (value,), weights=str(file)))
        if repeat == 0:
            fail_and_retry(sweep.study, trial.number, blamed=False)
    settle(sweep.study, trial, Outcome("complete", "run", (0.8,), seeds=(0.9, 0.7)))
    (lost,) = lost_winners(sweep)
    assert (lost.number, lost.repeat, lost.host) == (1, 0, "node-a")
