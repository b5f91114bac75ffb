"""A trial of several seeds has their mean, fails with a seed, can be pruned by seeds, and can restart."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from kerasweep.config.search import WilcoxonConf
from kerasweep.errors import StorageError, SweepStopped
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import RESULT, RETRY_OF, is_poor
from kerasweep.search.pruners import PrunerInput, build_pruner
from kerasweep.search.stops import StopRequest
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.driver import Driver, recover_trials
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.repeats import RepeatedTrial
from kerasweep.sweep.view import View
from kerasweep.tracking.entries import Text
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Finished, Job, Report
from tests.sweep.stand_ins import Notes

CRASHED = Outcome("failed", "run", reason="its process was killed by SIGSEGV")
DIVERGED = Outcome("failed", "run", reason="loss became nan", is_poor=True)

Train = Callable[[Params, int], Outcome]
GRID = {"a": "1,2,3"}


class Runs(Notes):
    """Trial runs that record which repeats were trained."""

    def __init__(self) -> None:
        super().__init__()
        self.trained_repeats: list[tuple[Any, int]] = []

    def job(self, proposal: Proposal, ref: TrialRef, waits: bool) -> tuple[str, Any]:
        self.trained_repeats.append((proposal.params["a"], ref.repeat))
        return "in:process", (proposal.params, ref)


class Pool:
    """A pool of `size` workers in this process; the job with the fewest epochs is trained next."""

    def __init__(self, train: Train, size: int, epochs: int) -> None:
        self.train = train
        self.epochs = epochs
        self.jobs: dict[int, Job] = {}
        self.size = size
        self.heard: dict[int, int] = {}
        self.stopped: set[int] = set()

    def free(self) -> list[int]:
        return [place for place in range(self.size) if place not in self.jobs]

    def submit(self, worker: int, job: Job) -> None:
        self.jobs[worker] = job

    def answer(self, worker: int, stops: bool) -> None:
        if stops:
            self.stopped.add(self.jobs[worker].id)

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        place = min(self.jobs, key=lambda each: (self.heard.get(self.jobs[each].id, 0), self.jobs[each].id))
        job = self.jobs[place]
        params, ref = job.payload
        outcome = replace(self.train(params, ref.repeat), run_id=ref.run_id)
        epoch = self.heard.get(job.id, 0)
        if job.id in self.stopped:
            del self.jobs[place]
            return place, Finished(job.id, replace(outcome, state="pruned", reason="stopped"))
        if epoch < self.epochs:
            self.heard[job.id] = epoch + 1
            return place, Report(job.id, epoch + 1, outcome.values[0], True)
        del self.jobs[place]
        return place, Finished(job.id, outcome)


def score(params: Params, repeat: int) -> Outcome:
    a = params["a"]
    assert isinstance(a, int)
    value = a + repeat / 10
    return Outcome("complete", "run", (value,), {"val_accuracy": value}, best_epoch=1, seconds=1.0)


def drive(
    sweep: Sweep, train: Train = score, size: int = 2, epochs: int = 0, stop: StopRequest | None = None
) -> Runs:
    runs = Runs()
    Driver(sweep, Pool(train, size, epochs), runs, View(Progress.read(sweep)), stop or StopRequest()).run()
    return runs


@pytest.fixture
def sweep(sweep_of: Callable[..., Sweep]) -> Callable[..., Sweep]:
    def build(repeats: int = 3, total: int = 3, **changes: Any) -> Sweep:
        return replace(sweep_of(GRID, total=total, sampler="grid"), repeats=repeats, **changes)

    return build


@pytest.mark.parametrize("size", [1, 2, 5])
def test_trial_is_the_mean_of_its_seeds(size: int, sweep: Callable[..., Sweep]) -> None:
    made = sweep()
    runs = drive(made, size=size)
    assert sorted(runs.trained_repeats) == [(a, repeat) for a in (1, 2, 3) for repeat in range(3)]
    assert [trial.value for trial in made.study.trials] == pytest.approx([1.1, 2.1, 3.1])
    result = made.study.trials[2].user_attrs[RESULT]
    assert result["seeds"] == [3.0, 3.1, 3.2] and result["seconds"] == 3.0
    assert result["metrics"] == {"val_accuracy": pytest.approx(3.1)} and result["run_id"] == "run-2"


def test_failed_seed_fails_its_trial_and_starts_no_further_one(sweep: Callable[..., Sweep]) -> None:
    def train(params: Params, repeat: int) -> Outcome:
        if params["a"] == 2 and repeat == 1:
            return Outcome("failed", "run", reason="ValueError: no", traceback="Traceback", is_poor=True)
        return score(params, repeat)

    made = sweep()
    runs = drive(made, train, size=1)
    assert [repeat for a, repeat in runs.trained_repeats if a == 2] == [0, 1]
    assert is_poor(made.study.trials[1])
    assert [trial.state.name for trial in made.study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert made.study.trials[1].user_attrs[RESULT]["reason"] == "repeat 1 failed: ValueError: no"
    assert runs.recorded == [(run, Text("Traceback", "traceback.txt")) for run in ("run-1-1", "run-1")]


def test_restart_trains_only_the_remaining_seeds(sweep: Callable[..., Sweep]) -> None:
    def train(params: Params, repeat: int) -> Outcome:
        if params["a"] == 2 and repeat == 2:
            raise KeyboardInterrupt
        return score(params, repeat)

    with pytest.raises(KeyboardInterrupt):
        drive(sweep(), train, size=1)
    again = sweep()
    recover_trials(again)
    runs = drive(again, size=1)
    assert runs.trained_repeats == [(2, 2), (3, 0), (3, 1), (3, 2)]
    assert [outcome.run_id for outcome in runs.adopted] == ["run-1-0", "run-1-1"]
    retried = [trial for trial in again.study.trials if RETRY_OF in trial.user_attrs]
    assert [trial.value for trial in retried] == pytest.approx([2.1])


def test_restart_settles_a_trial_whose_seeds_are_all_done(sweep: Callable[..., Sweep]) -> None:
    class Torn(Runs):
        def write(self, run_id: str) -> None:
            if run_id == "run-0":  # which is settled next
                raise KeyboardInterrupt

    made, runs = sweep(), Torn()
    with pytest.raises(KeyboardInterrupt):
        Driver(made, Pool(score, 1, 0), runs, View(Progress.read(made)), StopRequest()).run()
    again = sweep()
    after = drive(again, size=1)
    assert (1, 0) not in after.trained_repeats and len(after.trained_repeats) == 6
    assert sorted(t.value for t in again.study.trials if t.value) == pytest.approx([1.1, 2.1, 3.1])


@pytest.mark.parametrize("size", [1, 2])
def test_seeds_are_compared_and_losers_dropped(size: int, sweep: Callable[..., Sweep]) -> None:
    def better_first(params: Params, repeat: int) -> Outcome:
        outcome = score(params, repeat)
        return replace(outcome, values=(10 - outcome.values[0],))

    made = sweep(repeats=6, pruner_input=PrunerInput.REPEATS)
    made.study.pruner = build_pruner(OmegaConf.structured(WilcoxonConf("wilcoxon")), 1)
    runs = drive(made, better_first, size=size)
    counts: Mapping[Any, int] = {a: sum(one == a for one, _ in runs.trained_repeats) for a in (1, 2, 3)}
    assert counts[1] == 6 and 2 < counts[3] < 6
    # With two workers, the second trial runs beside the first, without a complete one to be compared with.
    assert counts[2] == 6 if size == 2 else 2 < counts[2] < 6
    assert made.study.trials[2].state is TrialState.PRUNED
    result = made.study.trials[2].user_attrs[RESULT]
    assert result["reason"] == f"dropped after {counts[3]} of 6 seeds"
    assert result["values"] == [pytest.approx(7 - 0.1 * (counts[3] - 1) / 2)]


def test_epochs_of_the_first_seed_decide_about_pruning(sweep: Callable[..., Sweep]) -> None:
    made = sweep(repeats=2, total=2, pruner_input=PrunerInput.BEST)

    class Strict:
        """Prunes every trial except a=1 after its second epoch."""

        def prune(self, study: Any, trial: Any) -> bool:
            return bool(trial.params["a"] != 1 and trial.last_step >= 2)

    made.study.pruner = Strict()  # type: ignore[assignment]
    runs = drive(made, size=4, epochs=4)
    assert [trial.state.name for trial in made.study.trials] == ["COMPLETE", "PRUNED"]
    assert set(made.study.trials[1].intermediate_values) == {1, 2}
    ended = {outcome.run_id: outcome.state for outcome in runs.closed}
    assert (ended["run-1-0"], ended["run-1-1"]) == ("pruned", "pruned")


def test_seed_under_a_full_disk_is_closed_with_its_trial(sweep: Callable[..., Sweep]) -> None:
    made, runs = sweep(), Runs()
    full = Pool(lambda params, repeat: Outcome("lost", "run", reason="no space"), 1, 0)
    with pytest.raises(StorageError, match="no space"):
        Driver(made, full, runs, View(Progress.read(made)), StopRequest()).run()
    assert runs.cancelled == ["run-0", "run-0-0"]


def test_stop_request_lets_the_seeds_of_a_trial_finish(sweep: Callable[..., Sweep]) -> None:
    stop, made = StopRequest(), sweep()

    def train(params: Params, repeat: int) -> Outcome:
        stop.is_set = params["a"] == 2
        return score(params, repeat)

    with pytest.raises(SweepStopped):
        drive(made, train, size=1, stop=stop)
    assert [trial.value for trial in made.study.trials] == pytest.approx([1.1, 2.1])


@pytest.mark.parametrize(
    "outcomes", [[CRASHED, DIVERGED], [DIVERGED, CRASHED]], ids=["crash first", "crash last"]
)
def test_any_diverged_repeat_says_that_the_configuration_is_poor(outcomes: list[Outcome]) -> None:
    """Both repeats were under way; the first failure is the trial's reason."""
    trial = RepeatedTrial(cast(Proposal, None), repeats=2, opened=TrialRef("run"))
    for repeat, outcome in enumerate(outcomes):
        trial.end(repeat, outcome)
    assert trial.result().is_poor and trial.result().reason == f"repeat 0 failed: {outcomes[0].reason}"
