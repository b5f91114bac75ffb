"""While MLflow is away, trials under way go on; nothing is lost, and nothing is trained twice."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import Trial

from kerasweep.errors import SweepStopped, TrackingError, UnreachableError
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import RETRY_OF, SPOOLED, fail_and_retry, note_repeat
from kerasweep.search.pruners import PrunerInput
from kerasweep.search.stops import StopRequest
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.sweep import driver
from kerasweep.sweep.driver import Driver
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import View
from kerasweep.workers.pool import Event
from tests.sweep.stand_ins import Notes, OnePlace, Waiting

GRID = {"a": "1,2,3"}
LOST = "MLflow at http://127.0.0.1:9 can no longer be used: Connection refused"


class Away(Notes):
    """Trial runs of a server that may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.opened: list[str] = []

    def outage(self) -> str | None:
        return LOST if self.is_away else None

    def open_trial(self, proposal: Proposal) -> TrialRef:
        self._ask()
        ref = super().open_trial(proposal)
        self.opened.append(ref.run_id)
        return ref

    def close(self, outcome: Outcome) -> None:
        self._ask()
        super().close(outcome)

    def _ask(self) -> None:
        if self.is_away:
            raise UnreachableError(f"{LOST}.")


def score(params: Mapping[str, Any]) -> Outcome:
    return Outcome("complete", f"run-{params['a'] - 1}", (float(params["a"]),))


def test_a_trial_ends_while_mlflow_is_away_and_the_next_one_waits(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, runs, ticks = sweep_of(GRID, total=3, sampler="grid"), Away(), []

    def train(params: Mapping[str, Any]) -> Outcome:
        runs.is_away = params["a"] == 1
        return score(params)

    def tick() -> None:
        assert [trial.values for trial in sweep.study.trials] == [[1.0]]
        assert (runs.opened, runs.closed) == (["run-0"], [])
        ticks.append(1)
        runs.is_away = len(ticks) < 3

    pool = Waiting(train, tick)
    ending = Driver(sweep, pool, runs, View(Progress.read(sweep)), StopRequest()).run()
    assert ending.reason == "all 3 trials are done" and len(ticks) == 3
    assert [params["a"] for params in runs.trained] == [1, 2, 3]
    assert [outcome.run_id for outcome in runs.closed] == runs.opened == ["run-0", "run-1", "run-2"]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(lines) == 2 and lines[1] == "note: MLflow answers again"
    assert lines[0].startswith(f"note: {LOST}; the trials under way go on, others wait until it answers; ")
    assert lines[0].endswith("s-0.spool")


def test_a_trial_whose_run_could_not_be_opened_is_opened_later(sweep_of: Callable[..., Sweep]) -> None:
    sweep, runs = sweep_of(GRID, total=3, sampler="grid"), Away()
    runs.is_away = True
    runs.outage = lambda: LOST if ticks else None  # type: ignore[method-assign]  # the first call finds out
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 2:
            ticks.clear()
            runs.is_away = False

    Driver(sweep, Waiting(score, tick), runs, View(Progress.read(sweep)), StopRequest()).run()
    assert [trial.value for trial in sweep.study.trials] == [1.0, 2.0, 3.0]
    assert runs.opened == ["run-0", "run-1", "run-2"]


def test_a_stop_while_mlflow_is_away_ends_at_once_and_the_trial_comes_again(
    sweep_of: Callable[..., Sweep],
) -> None:
    sweep, runs, stop = sweep_of(GRID, total=3, sampler="grid"), Away(), StopRequest()

    def train(params: Mapping[str, Any]) -> Outcome:
        runs.is_away = True
        return score(params)

    def tick() -> None:
        stop.is_set = True

    runs.outage = lambda: LOST if stop.is_set else None  # type: ignore[method-assign]
    with pytest.raises(SweepStopped):
        Driver(sweep, Waiting(train, tick), runs, View(Progress.read(sweep)), stop).run()
    first, lost, again = sweep.study.trials
    assert first.values == [1.0] and runs.closed == []
    assert again.user_attrs[RETRY_OF] == lost.number and again.state.name == "WAITING"


def test_a_database_that_cannot_be_used_ends_the_sweep_after_the_trials_under_way(
    sweep_of: Callable[..., Sweep],
) -> None:
    sweep = sweep_of(GRID, total=3, sampler="grid")

    def fail(outcome: Outcome) -> None:
        raise TrackingError("MLflow at sqlite:///mlflow.db says: database or disk is full.")

    runs = Notes(fail)
    with pytest.raises(TrackingError, match="disk is full"):
        Driver(sweep, OnePlace(score), runs, View(Progress.read(sweep)), StopRequest()).run()
    assert [trial.value for trial in sweep.study.trials] == [1.0, 2.0]  # the second one was under way


def test_a_server_that_answers_and_refuses_ends_the_sweep_after_the_trials_under_way(
    sweep_of: Callable[..., Sweep],
) -> None:
    class Refusing(Away):
        def outage(self) -> str | None:
            if self.is_away and ticks:
                raise TrackingError("MLflow at http://127.0.0.1:9 says: No Experiment with id=1 exists.")
            return super().outage()

    sweep, runs, ticks = sweep_of(GRID, total=3, sampler="grid"), Refusing(), []

    class Reporting(OnePlace):
        def next_event(self, timeout: float) -> tuple[int, Event] | None:
            runs.is_away = True
            if len(ticks) < 3:
                ticks.append(1)
                return None
            return super().next_event(timeout)

    with pytest.raises(TrackingError, match="No Experiment"):
        Driver(sweep, Reporting(score), runs, View(Progress.read(sweep)), StopRequest()).run()
    assert [trial.value for trial in sweep.study.trials] == [1.0] and len(ticks) == 3


def test_a_trial_that_another_driver_has_ended_ends_here(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lease had ended, such as that of a machine that slept: the other one trains it again."""
    sweep, runs = sweep_of({"a": "1,2"}, total=2, sampler="grid"), Notes()

    def train(params: Mapping[str, Any]) -> Outcome:
        if len(runs.trained) == 1:
            with sweep.lock():
                fail_and_retry(sweep.study, 0, blamed=False)
        return Outcome("complete", f"run-{len(runs.trained) - 1}", (float(params["a"]),))

    Driver(sweep, OnePlace(train), runs, View(Progress.read(sweep)), StopRequest()).run()
    assert [params["a"] for params in runs.trained] == [1, 1, 2]
    assert runs.cancelled == ["run-0"]
    assert [trial.state.name for trial in sweep.study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert (
        "note: trial 0 is trained again by another driver: it does not count here" in capsys.readouterr().out
    )


class Kept(Notes):
    """Trial runs of a server that is away: results are kept on disk."""

    def write(self, run_id: str) -> bool:
        return True


def test_a_trial_says_where_its_results_are_kept(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "1,2"}, total=1, sampler="grid")
    Driver(sweep, OnePlace(score), Kept(), View(Progress.read(sweep)), StopRequest()).run()
    place = sweep.storage.place()
    assert sweep.study.trials[0].user_attrs[SPOOLED] == place
    assert place["folder"] == str(sweep.storage.folder) and sweep.storage.place() == place


def test_a_repeat_says_where_its_results_are_kept_before_it_has_one(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver may be killed once the repeat has one, and another machine then closes its run."""
    sweep, noted = replace(sweep_of({"a": "1,2"}, total=1, sampler="grid"), repeats=2), []

    def note(trial: Trial, repeat: int, outcome: Outcome) -> None:
        noted.append(SPOOLED in sweep.study.trials[trial.number].user_attrs)
        note_repeat(trial, repeat, outcome)

    monkeypatch.setattr(driver, "note_repeat", note)
    Driver(sweep, OnePlace(score), Kept(), View(Progress.read(sweep)), StopRequest()).run()
    assert noted == [True, True]


@pytest.mark.parametrize("workers", [1, 2])
def test_after_the_last_trial_the_sweep_waits_for_mlflow(
    workers: int, sweep_of: Callable[..., Sweep]
) -> None:
    """With two workers, the second has asked in vain for a trial before MLflow goes away."""
    sweep, runs, ticks = sweep_of({"a": "1,2"}, total=1, sampler="grid"), Away(), []

    def train(params: Mapping[str, Any]) -> Outcome:
        runs.is_away = True
        return score(params)

    def tick() -> None:
        ticks.append(1)
        runs.is_away = len(ticks) < 3

    pool = Waiting(train, tick)
    if workers == 2:
        pool.free = lambda: [0, 1] if pool.job is None else [1]  # type: ignore[method-assign]
    Driver(sweep, pool, runs, View(Progress.read(sweep)), StopRequest()).run()
    assert len(ticks) == 3 and [outcome.run_id for outcome in runs.closed] == ["run-0"]


def leave_repeats(sweep: Sweep) -> None:
    """Trains the repeats of a trial, and ends its driver before the trial has a result."""

    class Dying(Notes):
        def write(self, run_id: str) -> bool:
            if run_id == "run-0":
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt):
        Driver(sweep, OnePlace(score), Dying(), View(Progress.read(sweep)), StopRequest()).run()


def test_a_trial_whose_repeats_could_not_be_adopted_is_opened_later(sweep_of: Callable[..., Sweep]) -> None:
    """An earlier driver trained all of them, and MLflow goes away once the run of their new trial is open."""
    sweep, ticks = replace(sweep_of(GRID, total=1, sampler="grid"), repeats=2), []
    leave_repeats(sweep)

    class Going(Away):
        def adopt_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int, outcome: Outcome) -> bool:
            self.is_away = not ticks
            self._ask()
            return super().adopt_repeat(proposal, ref, repeat, outcome)

    def tick() -> None:
        ticks.append(1)
        assert len(ticks) < 9, "the trial does not end"
        runs.is_away = False

    runs = Going()
    Driver(sweep, Waiting(score, tick), runs, View(Progress.read(sweep)), StopRequest()).run()
    assert (runs.trained, len(runs.adopted), sweep.study.trials[1].value) == ([], 2, 1.0)


def test_a_trial_that_is_taken_while_its_repeats_are_adopted_ends_here(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = replace(sweep_of(GRID, total=1, sampler="grid"), repeats=2, pruner_input=PrunerInput.REPEATS)
    leave_repeats(sweep)

    class Slow(Notes):
        def adopt_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int, outcome: Outcome) -> bool:
            if proposal.trial.number == 1 and repeat == 1:
                fail_and_retry(sweep.study, 1, blamed=False)
            return super().adopt_repeat(proposal, ref, repeat, outcome)

    runs = Slow()
    Driver(sweep, OnePlace(score), runs, View(Progress.read(sweep)), StopRequest()).run()
    assert [trial.value for trial in sweep.study.trials] == [None, None, 1.0]
    assert (runs.trained, runs.cancelled) == ([], ["run-1"])
    assert "trial 1 is trained again by another driver" in capsys.readouterr().out
