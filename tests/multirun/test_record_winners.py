"""Models and figures are recorded in parallel; failures are printed, and retried at the next start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import RefusedError
from kerasweep.multirun.record_winners import note_lost_weights, record_winners
from kerasweep.results import Outcome
from kerasweep.sweep.best_repeats import Winner
from kerasweep.tracking.writer import Tracker
from kerasweep.workers.pool import Event, JobFailed
from kerasweep.workers.worker import Finished, Job

DONE = Outcome("complete", "run")


class Places:
    """A pool of two workers in this process.

    `ends` holds outcomes by the job's payload; other jobs are complete.
    """

    def __init__(self, ends: Mapping[str, Outcome | str] | None = None) -> None:
        self.ends = ends or {}
        self.jobs: dict[int, Job] = {}
        self.most = 0

    def free(self) -> list[int]:
        return [place for place in (0, 1) if place not in self.jobs]

    def submit(self, worker: int, job: Job) -> None:
        assert not job.is_limited  # by the limits of a training
        self.jobs[worker] = job
        self.most = max(self.most, len(self.jobs))

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        worker, job = next(iter(self.jobs.items()))
        del self.jobs[worker]
        end = self.ends.get(job.payload, DONE)
        return worker, JobFailed(worker, job.id, end) if isinstance(end, str) else Finished(job.id, end)


class TrialRuns:
    """Records in `written` each run that was written, and whether its weights still existed then."""

    def __init__(self, due: list[Winner], deleted: int | None = None) -> None:
        self.deleted = deleted
        self.left = {one.outcome.run_id: Path(str(one.outcome.weights)) for one in due}
        self.written: list[tuple[str, bool]] = []

    def write(self, run_id: str) -> None:
        self.written.append((run_id, self.left[run_id].exists()))

    def winner_jobs(self, winner: Winner, is_end: bool) -> dict[str, tuple[str, Any]]:
        if winner.number == self.deleted:
            raise RefusedError("gone")
        return {part: ("in:process", f"{part} {winner.number}") for part in ("model", "figures")}


@pytest.fixture
def due(tmp_path: Path) -> list[Winner]:
    found = []
    for number in (3, 5):
        left = tmp_path / f"{number}.npz"
        left.touch()
        found.append(Winner(number, {}, 0, Outcome("complete", f"run-{number}", weights=str(left))))
    return found


def record(due: list[Winner], pool: Places | None) -> int:
    """Records winners; checks that runs are written before weights are deleted.

    Returns how often `meanwhile` was called.
    """
    called: list[None] = []
    trial_runs = TrialRuns(due)
    record_winners(due, trial_runs, pool, lambda: called.append(None))  # type: ignore[arg-type]
    assert sorted(trial_runs.written) == sorted((one.outcome.run_id, True) for one in due for _ in range(2))
    return len(called)


def test_winners_are_recorded_in_parallel_and_their_weights_deleted(
    due: list[Winner], tmp_path: Path
) -> None:
    pool = Places()
    assert record(due, pool) == 1
    assert pool.most == 2 and list(tmp_path.iterdir()) == []


def test_failures_are_printed_and_retried_at_the_next_start(
    due: list[Winner], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {"figures 3": "its process was killed", "model 5": Outcome("failed", "run", reason="OSError: no")}
    record(due, Places(ends))
    assert capsys.readouterr().out.splitlines() == [
        "note: the figures of trial 3 cannot be recorded: its process was killed",
        "note: the model of trial 5 cannot be recorded: OSError: no",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"3.npz", "5.npz"}
    record(due, Places({"model 5": "its process was killed"}))
    assert [path.name for path in tmp_path.iterdir()] == ["5.npz"]


@pytest.mark.parametrize("pool", [None, Places()])
def test_other_work_is_done_without_winners(pool: Places | None) -> None:
    assert record([], pool) == 1


def test_weights_of_a_stopped_sweep_are_kept_for_its_end(due: list[Winner], tmp_path: Path) -> None:
    record_winners(due, TrialRuns(due), Places(), lambda: None, is_end=False)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"3.npz", "5.npz"}


def test_deleted_run_stops_no_other_winner(
    due: list[Winner], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial_runs = TrialRuns(due, deleted=3)
    record_winners(due, trial_runs, Places(), lambda: None)  # type: ignore[arg-type]
    assert {run_id for run_id, _ in trial_runs.written} == {"run-5"} and list(tmp_path.iterdir()) == []
    assert "note: the run of trial 3 was deleted: its model cannot be recorded" in capsys.readouterr().out


def test_other_work_is_done_if_the_only_run_was_deleted(due: list[Winner]) -> None:
    called: list[None] = []
    trial_runs: Any = TrialRuns(due, deleted=3)
    pool: Any = Places()
    record_winners(due[:1], trial_runs, pool, lambda: called.append(None))
    assert len(called) == 1


def test_a_winner_without_weights_is_named_unless_it_was_tested(
    tracker: Tracker, tracking: TrackingConf, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [tracker.start(name, {}, {}) for name in ("tested", "lost")]
    tracker.log_metrics(runs[0], {"test_accuracy": 0.5})
    winners = [Winner(number, {}, 0, Outcome("complete", run)) for number, run in enumerate((*runs, "gone"))]
    note_lost_weights(winners, tracking)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("note: trial 1 has no model and no test score: its weights were deleted")


def test_a_winner_whose_weights_are_on_another_machine_is_not_lost(
    tracker: Tracker, tracking: TrackingConf, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [tracker.start(name, {}, {}) for name in ("tested", "waits")]
    tracker.log_metrics(runs[0], {"test_accuracy": 0.5})
    winners = [
        Winner(number, {}, 0, Outcome("complete", run, weights="7/best.npz"), host="node-a")
        for number, run in enumerate(runs)
    ]
    for has_repeated_axis in (False, True):
        note_lost_weights(winners, tracking, has_repeated_axis)
        assert capsys.readouterr().out.splitlines() == [
            "note: the weights of trial 1 are on node-a: if no driver there records its model, start this "
            "command there once more"
        ]
