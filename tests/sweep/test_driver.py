"""The driver continues to the total after any end, and returns why it stops."""

import os
import re
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.pruners import ThresholdPruner
from optuna.trial import TrialState

from kerasweep.results import Outcome
from kerasweep.search import ledger, owner
from kerasweep.search.ask import ask
from kerasweep.search.ledger import (
    EPOCH,
    LOST,
    RETRIES,
    RETRY_OF,
    counts,
    disown,
    fail_and_retry,
    tell_result,
)
from kerasweep.search.owner import LEASE_SECONDS, OWNER, renew_lease, this_owner
from kerasweep.search.pruners import PrunerInput
from kerasweep.search.stops import HOURS_USED, Ending, StopRequest, budget_reason
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.driver import Driver, recover_trials
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import View
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Finished, Job, Report
from tests.searches import number
from tests.sweep.stand_ins import Notes, OnePlace, Waiting

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}


def test_rerun_continues_to_the_total(sweep_of: Callable[..., Sweep], search: Search) -> None:
    first = search(sweep_of({"a": "range(50)"}, total=4))
    assert first[0] == "all 4 trials are done" and len(first[1]) == 4
    assert search(sweep_of({"a": "range(50)"}, total=4)) == ("all 4 trials are done", [])


def test_raising_the_total_continues_without_a_repetition(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    trained = search(sweep_of({"a": "range(12)"}, total=4, sampler="tpe"))[1]
    trained += search(sweep_of({"a": "range(12)"}, total=11, sampler="random"))[1]
    assert len({params["a"] for params in trained}) == len(trained) == 11


def test_space_with_fewer_configurations_than_the_total_ends_the_sweep(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    reason, trained = search(sweep_of(GRID, total=30))
    assert reason == "6 of 30 trials are done: all 6 configurations have been tried"
    assert len(trained) == 6
    assert search(sweep_of(GRID, total=30)) == (reason, [])


def test_grid_continues_in_order(sweep_of: Callable[..., Sweep], search: Search) -> None:
    trained = search(sweep_of(GRID, total=2, sampler="grid"))[1]
    trained += search(sweep_of(GRID, total=6, sampler="grid"))[1]
    assert trained == list(sweep_of(GRID).space.configurations())


def test_failing_trial_counts_and_the_sweep_continues(sweep_of: Callable[..., Sweep], search: Search) -> None:
    def train(params: Mapping[str, Any]) -> Outcome:
        if params["a"] == 1:
            return Outcome("failed", "run", reason="ValueError: no")
        return Outcome("complete", "run", (1.0,))

    sweep = sweep_of(GRID, total=6, sampler="grid")
    reason, trained = search(sweep, train)
    assert reason == "all 6 trials are done" and len(trained) == 6
    states = [trial.state for trial in sweep.study.trials]
    assert states == [TrialState.FAIL] * 2 + [TrialState.COMPLETE] * 4


def test_pruned_trial_counts(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=3)
    search(sweep, lambda params: Outcome("pruned", "run", (0.1,)))
    assert [trial.state for trial in sweep.study.trials if counts(trial)] == [TrialState.PRUNED] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_stopped_trial_is_trained_again_after_a_restart(
    error: type[BaseException], sweep_of: Callable[..., Sweep], search: Search
) -> None:
    def stop(params: Mapping[str, Any]) -> Outcome:
        if params["a"] == 2:
            raise error
        return Outcome("complete", "run", (1.0,))

    sweep = sweep_of(GRID, total=6, sampler="grid")
    for _ in range(4):
        with pytest.raises(error):
            search(sweep, stop)
    sweep = sweep_of(GRID, total=6, sampler="grid")
    assert recover_trials(sweep) == []
    reason, trained = search(sweep)
    assert reason == "all 6 trials are done"
    assert trained == list(sweep.space.configurations())[2:]
    lost = [trial for trial in sweep.study.trials if trial.user_attrs.get(LOST)]
    assert len(lost) == 4 and sum(counts(trial) for trial in sweep.study.trials) == 6
    assert sum(RETRY_OF in trial.user_attrs for trial in sweep.study.trials) == 4


def test_written_result_reaches_optuna_after_an_interrupt(
    sweep_of: Callable[..., Sweep], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any) -> None:
        monkeypatch.setattr(ledger, "tell_result", tell_result)
        raise KeyboardInterrupt

    sweep = sweep_of(GRID, total=6, sampler="grid")
    monkeypatch.setattr(ledger, "tell_result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(sweep)
    assert [trial.state for trial in sweep.study.trials] == [TrialState.COMPLETE]
    assert len(search(sweep)[1]) == 5


def test_a_disk_that_is_full_once_a_result_is_written_costs_no_result(
    sweep_of: Callable[..., Sweep], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has the result, and no space for the end of the trial: its run is not cancelled."""
    sweep, notes = sweep_of(GRID, total=6, sampler="grid"), Notes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(*given: Any) -> None:
        monkeypatch.setattr(ledger, "tell_result", tell_result)
        (journal,) = Path(sweep.storage.place()["folder"]).glob("*.journal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size, limits[1]))
        tell_result(*given)

    monkeypatch.setattr(ledger, "tell_result", fill)
    pool = OnePlace(lambda params: Outcome("complete", "run-0", (1.0,)))
    try:
        with pytest.raises(OSError, match="File too large"):
            Driver(sweep, pool, notes, View(Progress.read(sweep)), StopRequest()).run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert notes.cancelled == []
    again = sweep_of(GRID, total=6, sampler="grid")
    disown(again.study, ())  # as the next start does with those of a dead process
    assert again.study.trials[0].state is TrialState.COMPLETE
    assert len(search(again)[1]) == 5


def test_waiting_trial_is_trained_even_at_the_total(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of({"a": "range(50)"}, total=2)
    search(sweep)
    sweep.study.enqueue_trial({"a": 49})
    assert search(sweep) == ("all 2 trials are done", [{"a": 49}])


def test_torn_journal_is_repaired_during_the_sweep(
    sweep_of: Callable[..., Sweep], search: Search, tmp_path: Any
) -> None:
    sweep = sweep_of(GRID, total=2, sampler="grid")
    search(sweep)
    with open(tmp_path / "s-0.journal", "ab") as journal:
        journal.write(b'{"op_code"')
    assert len(search(replace(sweep, total=6))[1]) == 4
    assert (tmp_path / "s-0.torn").read_bytes() == b'{"op_code"\n'
    assert len(sweep_of(GRID).study.trials) == 6


def test_trials_of_another_process_are_seen(sweep_of: Callable[..., Sweep], search: Search) -> None:
    one, other = sweep_of(GRID, total=6, sampler="grid"), sweep_of(GRID, total=6, sampler="grid")
    trained: list[Params] = []

    def train(params: Mapping[str, Any]) -> Outcome:
        if not trained:
            trained.extend(search(other)[1])
        return Outcome("complete", "run", (1.0,))

    assert search(one, train)[1] == [{"a": 1, "b": 4}]
    assert trained == list(one.space.configurations())[1:]


def test_a_driver_waits_for_another_host_until_its_lease_ends(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That host is dead, which only its lease can tell."""
    sweep = sweep_of({"a": "1,2"}, total=2, sampler="grid")
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "pod-a")
        renew_lease(sweep.study)
        assert isinstance(ask(sweep, (), 0.0), Proposal)
    ticks: list[float] = []

    def tick() -> None:
        assert [trial.state.name for trial in sweep.study.trials] == ["RUNNING", "COMPLETE"]
        ticks.append(time.time())
        if len(ticks) == 3:
            later = ticks[0] + LEASE_SECONDS + 1
            monkeypatch.setattr("time.time", lambda: later)
            monkeypatch.setattr(owner, "WATCHED_SECONDS", 0.0)

    notes = Notes()
    pool = Waiting(lambda params: Outcome("complete", "run", (float(params["a"]),)), tick)
    ending = Driver(sweep, pool, notes, View(Progress.read(sweep)), StopRequest()).run()
    assert ending == Ending("all 2 trials are done", is_whole=True)
    assert [params["a"] for params in notes.trained] == [2, 1] and len(ticks) == 3
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(said) == 1
    assert re.fullmatch(
        rf"note: waiting for a trial of process {os.getpid()} on pod-a, which counts as dead at "
        r"\d\d:\d\d:\d\d if it renews no lease",
        said[0],
    )


def test_close_is_called_once_optuna_knows(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=3)
    seen = []

    def close(outcome: Outcome) -> None:
        seen.append((outcome.values, sweep.study.trials[len(seen)].values))

    values = iter([0.5, 0.25, 1.0])
    search(sweep, lambda params: Outcome("complete", "run", (next(values),)), close)
    assert seen == [((0.5,), [0.5]), ((0.25,), [0.25]), ((1.0,), [1.0])]


@pytest.mark.parametrize(
    ("direction", "target", "trained"), [("maximize", 5.5, 2), ("minimize", 5.0, 1), ("maximize", 99.0, 6)]
)
def test_target_ends_the_sweep(
    direction: str, target: float, trained: int, sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of(GRID, total=6, sampler="grid", directions=(direction,), target=target)
    reason, params = search(sweep)
    assert len(params) == trained
    assert reason == ("all 6 trials are done" if trained == 6 else f"the target of {target:g} is reached")


@pytest.mark.parametrize(
    ("direction", "values", "trained"),
    [
        ("maximize", [1.0, 3.0, 2.0, 3.0, 9.0, 9.0], 4),
        ("minimize", [3.0, 1.0, 2.0, 0.5, 2.0, 0.25], 6),
        ("maximize", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 6),
        ("minimize", [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], 3),
    ],
)
def test_patience_ends_the_sweep(
    direction: str, values: list[float], trained: int, sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of(GRID, total=9, sampler="grid", directions=(direction,), patience=2)
    rest = iter(values)
    reason, params = search(sweep, lambda params: Outcome("complete", "run", (next(rest),)))
    assert len(params) == trained
    assert reason == (
        "2 trials in a row brought no improvement"
        if trained < 6
        else "6 of 9 trials are done: all 6 configurations have been tried"
    )


def test_trial_of_a_driver_that_dies_during_the_sweep_is_trained(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of(GRID, total=6, sampler="grid")
    dead = {**this_owner(), "pid": 2**22 + 1}
    sweep.study.enqueue_trial({"a": 3, "b": 5})
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    trial.set_user_attr(OWNER, dead)
    reason, trained = search(sweep)
    assert reason == "all 6 trials are done"
    assert len(trained) == 6 and trained[-1] == {"a": 3, "b": 5}


def test_result_of_a_trial_that_another_host_retries_is_dropped(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    def train(params: Mapping[str, Any]) -> Outcome:
        if not taken:
            taken.append(fail_and_retry(sweep_of(GRID, total=6, sampler="grid").study, 0, blamed=True))
        return Outcome("complete", "run", (1.0,))

    taken: list[bool] = []
    sweep = sweep_of(GRID, total=6, sampler="grid")
    reason, trained = search(sweep, train)
    assert taken == [True] and reason == "all 6 trials are done"
    assert len(trained) == 7 and trained.count(trained[0]) == 2
    assert [t.state for t in sweep.study.trials if counts(t)] == [TrialState.COMPLETE] * 6


def test_trial_of_a_driver_that_is_killed_while_it_stops_keeps_its_retries(
    sweep_of: Callable[..., Sweep],
) -> None:
    """A scheduler sends SIGTERM, and SIGKILL half a minute later."""

    class Scheduled(OnePlace):
        def next_event(self, timeout: float) -> tuple[int, Event] | None:
            if not stop.is_set:
                stop.is_set = True
                return None
            (running,) = sweep.study.get_trials(states=(TrialState.RUNNING,))
            dead = {**this_owner(), "pid": 2**22 + 1}
            sweep.study._storage.set_trial_user_attr(running._trial_id, OWNER, dead)
            recover_trials(sweep_of(GRID))
            raise KeyboardInterrupt

    sweep = sweep_of(GRID, sampler="grid")
    for _ in range(4):
        stop = StopRequest()
        with pytest.raises(KeyboardInterrupt):
            Driver(sweep, Scheduled(number), Notes(), View(Progress.read(sweep)), stop).run()
    (again,) = sweep.study.get_trials(states=(TrialState.WAITING,))
    assert again.user_attrs == {RETRY_OF: 3, RETRIES: 0}


def test_pruned_trials_are_no_improvement(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=6, sampler="grid", patience=2)
    outcomes = iter([Outcome("complete", "run", (1.0,)), *[Outcome("pruned", "run", (0.5,))] * 5])
    reason, trained = search(sweep, lambda params: next(outcomes))
    assert (reason, len(trained)) == ("2 trials in a row brought no improvement", 3)


def test_trial_that_would_not_end_in_time_is_not_started(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of(GRID, total=6, sampler="grid", hours=0.0005)

    def train(params: Mapping[str, Any]) -> Outcome:
        time.sleep(1)
        return Outcome("complete", "run", (1.0,))

    reason, trained = search(sweep, train)
    assert len(trained) == 1
    assert reason == "0.0 minutes of budget.hours=0.0005 are left, less than a trial takes"


def test_sweep_ended_by_its_budget_is_not_complete(sweep_of: Callable[..., Sweep], search: Search) -> None:
    def ending(**options: Any) -> Any:
        return ask(sweep_of(GRID, sampler="grid", **options), (), 0.0)

    search(sweep_of(GRID, total=3, sampler="grid"))
    assert ending(total=3, hours=9) == Ending("all 3 trials are done", is_whole=True)
    assert not ending(total=4, target=0.0).is_whole
    search(sweep_of(GRID, total=6, sampler="grid"))
    exhausted = "6 of 30 trials are done: all 6 configurations have been tried"
    assert ending(total=30, hours=9) == Ending(exhausted, is_whole=True)


def test_hours_add_up_over_restarts(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=3, hours=1.5)
    search(sweep)
    used = sweep.study.user_attrs[HOURS_USED]
    assert 0 < used < 0.01
    assert budget_reason(sweep.study.trials, ("maximize",), sweep.budget, used) is None
    sweep.study.set_user_attr(HOURS_USED, 1.5)
    assert search(sweep_of(GRID, total=6, hours=1.5)) == ("the budget of 1.5 hours is spent", [])
    assert search(sweep_of(GRID, total=3, hours=1.5)) == ("all 3 trials are done", [])
    assert len(search(sweep_of(GRID, total=6, hours=2))[1]) == 3


def test_hours_of_a_tuning_belong_to_the_same_budget(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = replace(sweep_of(GRID, total=3, hours=1.5), hours_before=1.5)
    assert search(sweep) == ("the budget of 1.5 hours is spent", [])
    assert sweep.study.user_attrs[HOURS_USED] < 0.01
    assert len(search(replace(sweep, hours_before=1.4))[1]) == 3


def test_hours_of_a_killed_driver_count_and_those_of_two_drivers_count_once(
    sweep_of: Callable[..., Sweep], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    noted = []

    def train(params: Mapping[str, Any]) -> Outcome:
        monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
        noted.append(sweep.study.user_attrs.get(HOURS_USED, 0.0))
        return Outcome("complete", "run", (1.0,))

    sweep = sweep_of(GRID, total=3)
    search(sweep, train)
    assert noted == [0.0, pytest.approx(1, abs=0.01), pytest.approx(1, abs=0.01)]
    sweep.study.set_user_attr(HOURS_USED, 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def train_beside_another(params: Mapping[str, Any]) -> Outcome:
        monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
        sweep.study.set_user_attr(HOURS_USED, 1.5)
        return Outcome("complete", "run", (1.0,))

    search(sweep_of(GRID, total=4), train_beside_another)
    assert sweep_of(GRID).study.user_attrs[HOURS_USED] == 1.5


def test_several_objectives_run_to_the_total(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=5, sampler="nsga2", directions=("maximize", "minimize"))
    reason, _ = search(sweep, lambda params: Outcome("complete", "run", (float(params["a"]), 1.0)))
    assert reason == "all 5 trials are done"
    assert sweep.directions == ("maximize", "minimize")
    assert {trial.values[0] for trial in sweep.study.best_trials} == {3.0}


class Places:
    """A pool of two workers in this process; `next_event` trains the oldest job."""

    def __init__(self, train: Callable[[Mapping[str, Any]], Outcome]) -> None:
        self.train = train
        self.jobs: dict[int, Job] = {}
        self.trained: list[tuple[int, Params]] = []

    def free(self) -> list[int]:
        return [place for place in (0, 1) if place not in self.jobs]

    def submit(self, worker: int, job: Job) -> None:
        self.jobs[worker] = job

    def answer(self, worker: int, stops: bool) -> None:
        raise AssertionError("no job asked")

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        worker, job = next(iter(self.jobs.items()))
        del self.jobs[worker]
        self.trained.append((worker, job.payload))
        return worker, Finished(job.id, self.train(job.payload))


def drive(
    sweep: Sweep, train: Callable[[Mapping[str, Any]], Outcome] | None = None
) -> list[tuple[int, Params]]:
    """Runs a sweep with two workers and returns their trials; equal `a` means the same graph."""
    pool = Places(train or (lambda params: Outcome("complete", "run", (1.0,))))
    shared = replace(sweep, graph_of=lambda params: str(params["a"]))
    Driver(shared, pool, Notes(), View(Progress.read(shared)), StopRequest()).run()
    return pool.trained


def test_grid_goes_to_the_worker_that_holds_its_graph(sweep_of: Callable[..., Sweep]) -> None:
    trained = drive(sweep_of({"a": "1,2", "b": "range(6)"}, total=12, sampler="grid"))
    assert {(worker, params["a"]) for worker, params in trained} == {(0, 1), (1, 2)}
    assert sorted((params["a"], params["b"]) for _, params in trained) == [
        (a, b) for a in (1, 2) for b in range(6)
    ]


def test_part_of_a_grid_is_its_first_part(sweep_of: Callable[..., Sweep]) -> None:
    trained = drive(sweep_of({"a": "1,2", "b": "range(6)"}, total=4, sampler="grid"))
    assert sorted((params["a"], params["b"]) for _, params in trained) == [(1, b) for b in range(4)]


def test_worker_waits_while_no_trace_is_worth_its_time(sweep_of: Callable[..., Sweep]) -> None:
    def train(params: Mapping[str, Any]) -> Outcome:
        is_first = params["b"] in (0, 10)  # the first trial of each worker includes the trace
        time.sleep(0.5 if is_first else 0.01)
        return Outcome("complete", "run", (1.0,))

    trained = drive(sweep_of({"b": "0,1,2,3,4,5,6,7,10", "a": "1,2"}, total=18, sampler="grid"), train)
    assert len(trained) == 18 and len({str(params) for _, params in trained}) == 18
    assert {(worker, params["a"]) for worker, params in trained} == {(0, 1), (1, 2)}


class Reporting(OnePlace):
    """A pool whose job reports these values, one an epoch, and then ends."""

    def __init__(self, values: list[float | None]) -> None:
        super().__init__(lambda params: Outcome("complete", "run", (1.0,)))
        self.values = dict(enumerate(values, start=1))
        self.answers: list[bool] = []

    def answer(self, worker: int, stops: bool) -> None:
        self.answers.append(stops)

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        assert self.job is not None
        for epoch in sorted(self.values):
            return 0, Report(self.job.id, epoch, self.values.pop(epoch), True)
        return super().next_event(timeout)


@pytest.mark.parametrize(
    ("values", "warmup", "told"),
    [([None, None, None], 0, {}), ([0.1, 0.2, 0.3], 2, {3: 0.3}), ([0.1, 0.2, 0.3], 9, {})],
)
def test_every_epoch_is_saved_as_progress_with_any_pruner(
    values: list[float | None], warmup: int, told: dict[int, float], sweep_of: Callable[..., Sweep]
) -> None:
    class Shown(View):
        def epoch(self, worker: int, epoch: int, value: float | None) -> None:
            epochs.append((epoch, value))

    class WarmingUp(Notes):
        def warmup_epochs(self, proposal: Proposal) -> int:
            return warmup

    epochs: list[tuple[int, float | None]] = []
    sweep = replace(sweep_of(GRID, total=1), pruner_input=PrunerInput.BEST, keeps_checkpoints=True)
    sweep.study.pruner = ThresholdPruner(upper=0.25)
    pool = Reporting(list(values))
    Driver(sweep, pool, WarmingUp(), Shown(Progress.read(sweep)), StopRequest()).run()
    (trial,) = sweep.study.trials
    assert epochs == list(enumerate(values, start=1))
    assert trial.user_attrs[f"{EPOCH}:0"] == 3
    assert trial.intermediate_values == told
    assert pool.answers == [False, False, bool(told)]


def test_patience_counts_the_trials_that_failed(sweep_of: Callable[..., Sweep]) -> None:
    """A sampler that stays where training diverges brings no improvement either."""
    study = sweep_of(GRID, total=9).study
    budget = OmegaConf.create({"hours": None, "target": None, "patience": 2})

    def reason() -> str | None:
        return budget_reason(study.trials, ("maximize",), budget, 0.0)

    study.tell(study.ask(), 0.5)
    study.tell(study.ask(), state=TrialState.FAIL)
    lost = study.ask()
    lost.set_user_attr(LOST, True)
    study.tell(lost, state=TrialState.FAIL)
    assert reason() is None
    study.tell(study.ask(), state=TrialState.FAIL)
    assert reason() == "2 trials in a row brought no improvement"
    study.tell(study.ask(), 0.6)
    assert reason() is None
