"""A trial whose machine has gone comes again, with the repeats that are complete."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import MAX_RETRIES, SPOOLED
from kerasweep.search.stops import StopRequest
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.driver import Driver
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import View
from kerasweep.workers.pool import Event, JobLost
from tests.sweep.stand_ins import Notes, OnePlace


class Fragile(OnePlace):
    """A pool that loses the jobs of these numbers, counted from 1."""

    def __init__(self, train: Callable[[Mapping[str, Any]], Outcome], lost: set[int]) -> None:
        super().__init__(train)
        self.lost = lost

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        assert self.job is not None
        if self.job.id not in self.lost:
            return super().next_event(timeout)
        lost, self.job = JobLost(0, self.job.id, "its node has gone"), None
        return 0, lost


def score(params: Mapping[str, Any]) -> Outcome:
    return Outcome("complete", "run", (float(params["a"]),))


def drive(sweep: Sweep, runs: Notes, lost: set[int]) -> None:
    Driver(sweep, Fragile(score, lost), runs, View(Progress.read(sweep)), StopRequest()).run()


def test_a_lost_trial_is_trained_again(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, runs = sweep_of({"a": "1,2"}, total=2, sampler="grid"), Notes()
    drive(sweep, runs, {1})
    assert [params["a"] for params in runs.trained] == [1, 1, 2]
    assert [trial.state.name for trial in sweep.study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert runs.cancelled == ["run-0"]
    assert "note: trial 0 is trained again: its node has gone" in capsys.readouterr().out


def test_complete_repeats_of_a_lost_trial_stay(sweep_of: Callable[..., Sweep]) -> None:
    sweep, runs = replace(sweep_of({"a": "1,2"}, total=1, sampler="grid"), repeats=3), Notes()
    drive(sweep, runs, {2})
    assert len(runs.trained) == 4 and len(runs.adopted) == 1
    assert set(runs.cancelled) == {"run-0", "run-0-1"}
    lost, complete = sweep.study.trials
    assert (lost.state.name, complete.state.name, complete.value) == ("FAIL", "COMPLETE", 1.0)


class Adopting(Notes):
    """Trial runs that keep the tags of adopted repeats on disk: MLflow has just gone away."""

    def adopt_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int, outcome: Outcome) -> bool:
        super().adopt_repeat(proposal, ref, repeat, outcome)
        return True


def test_a_trial_says_where_the_tags_of_its_adopted_repeats_are_kept(sweep_of: Callable[..., Sweep]) -> None:
    sweep = replace(sweep_of({"a": "1,2"}, total=1, sampler="grid"), repeats=3)
    drive(sweep, Adopting(), {2})
    lost, complete = sweep.study.trials
    assert SPOOLED not in lost.user_attrs and complete.user_attrs[SPOOLED] == sweep.storage.place()


def test_a_trial_that_is_lost_too_often_fails(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    """Perhaps it is the trial that ends its machine."""
    sweep, runs = sweep_of({"a": "1,2"}, total=2, sampler="grid"), Notes()
    drive(sweep, runs, set(range(1, MAX_RETRIES + 2)))
    reason = f"its node has gone, in {MAX_RETRIES + 1} attempts"
    assert [params["a"] for params in runs.trained] == [1] * (MAX_RETRIES + 1) + [2]
    assert [(outcome.state, outcome.reason) for outcome in runs.closed] == [
        ("failed", reason),
        ("complete", None),
    ]
    assert f"[1/2] trial {MAX_RETRIES}: a=1  failed: {reason}" in capsys.readouterr().out
