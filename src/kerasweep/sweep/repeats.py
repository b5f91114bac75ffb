"""A trial under way: which of its seeds are still to train, and what those that ended make of it."""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from kerasweep.results import Outcome, State, mean_outcome
from kerasweep.search.propose import Proposal


@dataclass
class Trial:
    """A trial that a driver trains, one seed or several.

    ref: its own run, None until it is open. worker: which began it. repeats: how many seeds.
    waiting: those to start. active: those that train. done: seed -> outcome, of complete ones.
    ended: what ended it before all of them were done.
    """

    proposal: Proposal
    repeats: int
    ref: Any = None
    worker: int | None = None
    waiting: deque[int] = field(default_factory=deque)
    active: set[int] = field(default_factory=set)
    done: dict[int, Outcome] = field(default_factory=dict)
    ended: Outcome | None = None

    def __post_init__(self) -> None:
        self.waiting = deque(range(self.repeats))

    @property
    def number(self) -> int:
        return self.proposal.trial.number

    @property
    def has_seeds(self) -> bool:
        """Whether another seed of it is worth training."""
        return bool(self.waiting) and self.ended is None

    @property
    def is_over(self) -> bool:
        return not self.active and not self.has_seeds

    def know(self, done: dict[int, Outcome]) -> None:
        """Take over the seeds that an attempt before has trained."""
        self.done = done
        self.waiting = deque(seed for seed in self.waiting if seed not in done)

    def start(self, worker: int) -> int:
        """The next seed; it trains from now on."""
        self.worker = worker if self.worker is None else self.worker
        seed = self.waiting.popleft()
        self.active.add(seed)
        return seed

    def end(self, seed: int, outcome: Outcome) -> None:
        """Take in what came of a seed: one that fails or is pruned ends the trial."""
        self.active.discard(seed)
        if self.repeats == 1:
            self.ended = outcome
            return
        if outcome.state == State.COMPLETE:
            self.done[seed] = outcome
        elif self.ended is None and outcome.state == State.FAILED:
            reason = f"seed {seed} failed: {outcome.reason}"
            self.ended = Outcome(State.FAILED, self.ref.run_id, reason=reason, traceback=outcome.traceback)
        elif self.ended is None:
            self.ended = replace(outcome, run_id=self.ref.run_id)

    def drop(self) -> None:
        """End it after the seeds that it has: it loses."""
        self.ended = Outcome(State.PRUNED, self.ref.run_id)

    def result(self) -> Outcome:
        """What came of the trial: its one seed's outcome, or the mean of several."""
        done = [self.done[seed] for seed in sorted(self.done)]
        if self.ended is not None and (self.repeats == 1 or self.ended.state == State.FAILED or not done):
            return self.ended
        mean = mean_outcome(self.ref.run_id, done)
        if self.ended is None:
            return mean
        return replace(mean, state=State.PRUNED, reason=f"dropped after {len(done)} of {self.repeats} seeds")
