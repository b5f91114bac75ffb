"""Replaces the pool and the trial runs of a driver, so that its tests need no processes and no MLflow."""

from collections.abc import Callable, Mapping
from typing import Any

from kerasweep.results import Outcome, TrialRef
from kerasweep.search.suggest import Proposal
from kerasweep.space.rows import Params
from kerasweep.tracking.entries import Entry
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Finished, Job


class OnePlace:
    """A pool of one worker in this process, which trains a job in `next_event`."""

    def __init__(self, train: Callable[[Mapping[str, Any]], Outcome]) -> None:
        self.train = train
        self.job: Job | None = None

    def free(self) -> list[int]:
        return [0] if self.job is None else []

    def submit(self, worker: int, job: Job) -> None:
        self.job = job

    def answer(self, worker: int, stops: bool) -> None:
        raise AssertionError("no job asked")

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        assert self.job is not None
        finished = Finished(self.job.id, self.train(self.job.payload))
        self.job = None
        return 0, finished


class Waiting(OnePlace):
    """A pool of one worker; `tick` is called where no event comes."""

    def __init__(self, train: Callable[[Mapping[str, Any]], Outcome], tick: Callable[[], None]) -> None:
        super().__init__(train)
        self.tick = tick

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        if self.job is None:
            self.tick()
            return None
        return super().next_event(timeout)


class Notes:
    """Trial runs that record calls in lists instead of MLflow."""

    def __init__(self, on_close: Callable[[Outcome], None] = lambda outcome: None) -> None:
        self.on_close = on_close
        self.trained: list[Params] = []
        self.cancelled: list[str] = []
        self.adopted: list[Outcome] = []
        self.closed: list[Outcome] = []
        self.recorded: list[tuple[str, Entry]] = []
        self.best: list[tuple[int, float]] = []

    def open_trial(self, proposal: Proposal) -> TrialRef:
        return TrialRef(f"run-{proposal.trial.number}", proposal.trial.number)

    def open_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int) -> TrialRef:
        return TrialRef(f"{ref.run_id}-{repeat}", ref.number, repeat=repeat)

    def job(self, proposal: Proposal, ref: TrialRef, waits: bool) -> tuple[str, Any]:
        self.trained.append(proposal.params)
        return "in:process", proposal.params

    def warmup_epochs(self, proposal: Proposal) -> int:
        return 0

    def record(self, run_id: str, entry: Entry) -> None:
        self.recorded.append((run_id, entry))

    def write_due(self) -> dict[str, str]:
        return {}

    def write(self, run_id: str) -> bool:
        return False  # no entry waits

    def write_all(self) -> None:
        """Does nothing, since no entry waits."""

    def adopt_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int, outcome: Outcome) -> bool:
        self.adopted.append(outcome)
        return False

    def outage(self) -> str | None:
        return None

    def close(self, outcome: Outcome) -> None:
        self.closed.append(outcome)
        self.on_close(outcome)

    def note_best(self, trials: int, value: float) -> None:
        self.best.append((trials, value))

    def forget(self, proposal: Proposal) -> None:
        """Does nothing, since no configuration is kept."""

    def cancel(self, run_id: str, reason: str) -> None:
        self.cancelled.append(run_id)
