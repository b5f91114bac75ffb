"""Shows a sweep while it runs: a line for each trial that has ended."""

from types import TracebackType

from src.outcome import Outcome
from src.sweep.driver import Sweep
from src.sweep.ledger import counts
from src.sweep.space.axis import Params
from src.sweep.summary import params_text
from src.terminal import say


class View:
    """Plain lines, for a pipe, a log, or a terminal that can do no more."""

    def __init__(self, sweep: Sweep, objective: str, workers: int, epochs: int) -> None:
        self.sweep = sweep
        self.objective = objective
        self.workers = workers
        self.epochs = epochs
        trials = sweep.study.get_trials(deepcopy=False)
        self.done = sum(counts(trial) and trial.state.is_finished() for trial in trials)

    def __enter__(self) -> "View":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to close."""

    def started(self, worker: int, number: int, repeat: int, params: Params) -> None:
        """A worker has begun a trial, or one seed of it."""

    def epoch(self, worker: int, epoch: int, value: float | None) -> None:
        """A worker has ended an epoch. value: the best so far of the first objective."""

    def idle(self, worker: int) -> None:
        """A worker's job has ended."""

    def settled(self, number: int, params: Params, outcome: Outcome) -> None:
        """A trial has ended, and Optuna knows."""
        self.done += 1
        values = " ".join(f"{value:.4g}" for value in outcome.values)
        result = values if outcome.state == "complete" else f"{outcome.state}: {outcome.reason}"
        text = f"[{self.done}/{self.sweep.total}] {params_text(params)}  {result}"
        self.say(text + (f"  {outcome.seconds:.1f} s" if outcome.seconds else ""))

    def say(self, line: str) -> None:
        """A line of the sweep's own."""
        say(line)

    def refresh(self) -> None:
        """Called about once a second."""


def open_view(sweep: Sweep, objective: str, workers: int, epochs: int) -> View:
    """The view that suits where the output goes. objective: its text."""
    return View(sweep, objective, workers, epochs)
