"""Tracks the repeats of a trial under way, and forms the trial's result from them."""

from collections import deque
from dataclasses import dataclass, field, replace

from kerasweep.results import Outcome, State, TrialRef, mean_outcome
from kerasweep.search.suggest import Proposal


@dataclass
class RepeatedTrial:
    """A trial that a driver trains, once or with several seeds."""

    proposal: Proposal  # Optuna's trial with its configuration
    repeats: int  # how many seeds it is trained with
    opened: TrialRef | None = None  # the trial's run, None until it is open
    worker: int | None = None  # the worker that began it
    waiting: deque[int] = field(default_factory=deque)  # repeats that have not begun
    active: set[int] = field(default_factory=set)  # repeats that are being trained
    done: dict[int, Outcome] = field(default_factory=dict)  # repeat -> its outcome, complete ones only
    ended: Outcome | None = None  # an outcome that ended the trial before all repeats were done
    is_spooled: bool = False  # whether results that MLflow lacks are kept on this machine's disk
    is_taken: bool = False  # whether a driver in another place has ended it, and trains it again
    lost_for: str | None = None  # why the machine of a repeat has gone, if one has

    def __post_init__(self) -> None:
        self.waiting = deque(range(self.repeats))

    @property
    def ref(self) -> TrialRef:
        """The trial's run, which must be open."""
        assert self.opened is not None
        return self.opened

    @property
    def number(self) -> int:
        """The number of Optuna's trial."""
        return self.proposal.trial.number

    @property
    def has_repeats(self) -> bool:
        """Whether another repeat should be trained."""
        return bool(self.waiting) and self.ended is None and not self.is_taken and self.lost_for is None

    @property
    def is_over(self) -> bool:
        """Whether no repeat is being trained or should be."""
        return not self.active and not self.has_repeats

    def skip(self, done: dict[int, Outcome]) -> None:
        """Skips the repeats that an earlier attempt has trained."""
        self.done = done
        self.waiting = deque(repeat for repeat in self.waiting if repeat not in done)

    @property
    def next_repeat(self) -> int:
        """The repeat that `start` begins."""
        return self.waiting[0]

    def start(self, worker: int) -> None:
        """Begins the next repeat, which the worker trains from now on."""
        self.worker = worker if self.worker is None else self.worker
        self.active.add(self.waiting.popleft())

    def end(self, repeat: int, outcome: Outcome) -> None:
        """Adds the outcome of a repeat; a failed or pruned one ends the trial."""
        self.active.discard(repeat)
        if self.repeats == 1:
            self.ended = outcome
            return
        if outcome.state == State.COMPLETE:
            self.done[repeat] = outcome
        elif self.ended is None and outcome.state == State.FAILED:
            reason = f"repeat {repeat} failed: {outcome.reason}"
            self.ended = Outcome(
                State.FAILED,
                self.ref.run_id,
                reason=reason,
                traceback=outcome.traceback,
                is_poor=outcome.is_poor,
            )
        elif self.ended is None:
            self.ended = replace(outcome, run_id=self.ref.run_id)
        elif outcome.is_poor and self.ended.state == State.FAILED:  # another repeat crashed before
            self.ended = replace(self.ended, is_poor=True)

    def lose(self, repeat: int, reason: str) -> None:
        """Notes that the machine that trained a repeat has gone; other repeats under way end first."""
        self.active.discard(repeat)
        self.lost_for = reason

    def drop(self) -> None:
        """Prunes the trial: its remaining repeats are not trained."""
        self.ended = Outcome(State.PRUNED, self.ref.run_id)

    def result(self) -> Outcome:
        """Returns the trial's outcome: that of its only repeat, or the mean of several."""
        done = [self.done[repeat] for repeat in sorted(self.done)]
        if self.ended is not None and (self.repeats == 1 or self.ended.state == State.FAILED or not done):
            return self.ended
        mean = mean_outcome(self.ref.run_id, done)
        if self.ended is None:
            return mean
        return replace(mean, state=State.PRUNED, reason=f"dropped after {len(done)} of {self.repeats} seeds")
