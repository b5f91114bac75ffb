"""Shows a sweep while it runs: a line for each trial that ends and, in a terminal, a live part below."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from kerasweep.results import Outcome
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params
from kerasweep.sweep.picture import JobState, Picture
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.summary import outcome_text
from kerasweep.terminal import console, params_text, redirect_lines, say

RECOUNT_SECONDS = 5.0
REDRAW_SECONDS = 0.5


class View:
    """Plain lines, for a pipe, a log, or a terminal that can do no more."""

    def __init__(self, sweep: Sweep, clock: Callable[[], float] = time.monotonic) -> None:
        self.sweep = sweep
        self.clock = clock
        self.progress = Progress(sweep, clock)
        self._recounted = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to close."""

    def started(self, worker: int, number: int, repeat: int, params: Params) -> None:
        """A worker has begun a trial, or one seed of it."""
        self.progress.started(worker, number)

    def epoch(self, worker: int, epoch: int, value: float | None) -> None:
        """A worker has ended an epoch. value: the best so far of the first objective."""

    def idle(self, worker: int) -> None:
        """A worker's job has ended."""
        self.progress.idle(worker)

    def settled(self, number: int, params: Params, outcome: Outcome) -> None:
        """A trial has ended, and Optuna knows."""
        self.progress.settled(number, params, outcome)
        count = f"[{self.progress.done}/{self.sweep.total}]"
        seconds = f"  {outcome.seconds:.1f} s" if outcome.seconds else ""
        self.say(f"{count} {params_text(params)}  {outcome_text(outcome)}{seconds}")

    def say(self, line: str) -> None:
        """A line of the sweep's own."""
        say(line)

    def refresh(self) -> None:
        """Called at least once a second, and after each thing that happens."""
        if self.clock() - self._recounted > RECOUNT_SECONDS:
            self.progress.recount()
            self._recounted = self.clock()


class LiveView(View):
    """Below the lines, what is under way. It is drawn twice a second, by the thread that calls.

    Lines wait until then: a signal's handler may say one while the live part is just being drawn.
    """

    def __init__(
        self,
        sweep: Sweep,
        objective: str,
        workers: int,
        epochs: int,
        clock: Callable[[], float] = time.monotonic,
        screen: Console | None = None,
    ) -> None:
        super().__init__(sweep, clock)
        self.picture = Picture(self.progress, objective, workers, epochs)
        self._screen = screen or console()
        # Rich would send to stdout what goes to stderr, even where that is a file.
        self._live = Live(
            self.picture,
            console=self._screen,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._lines: list[str] = []
        self._drawn = clock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._live)
        self._open.enter_context(redirect_lines(self.say))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live part away; the lines stay."""
        with self._open:
            self._draw()

    def started(self, worker: int, number: int, repeat: int, params: Params) -> None:
        super().started(worker, number, repeat, params)
        self.picture.jobs[worker] = JobState(number, repeat, params)

    def epoch(self, worker: int, epoch: int, value: float | None) -> None:
        job = self.picture.jobs.get(worker)
        if job is not None:
            job.hear(epoch, value, self.clock())

    def idle(self, worker: int) -> None:
        super().idle(worker)
        self.picture.jobs[worker] = None

    def say(self, line: str) -> None:
        self._lines.append(line)

    def refresh(self) -> None:
        super().refresh()
        if self.clock() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        """Print the lines that wait; the live part is drawn anew below them."""
        self._drawn = self.clock()
        lines, self._lines = self._lines, []
        if lines:
            self._screen.print("\n".join(lines), soft_wrap=True)
        else:
            self._live.refresh()


def open_view(sweep: Sweep, objective: str, workers: int, epochs: int) -> View:
    """The view that suits where the output goes. objective: its text. epochs: of each trial."""
    if _is_live():
        return LiveView(sweep, objective, workers, epochs)
    return View(sweep)


def _is_live() -> bool:
    """Whether stdout can show what changes: not a pipe, a log of CI, or TERM=dumb or TTY_INTERACTIVE=0."""
    return sys.stdout.isatty() and console().is_interactive and not os.environ.get("CI")
