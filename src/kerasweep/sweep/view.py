"""Shows a sweep while it runs: a line for each trial that ends and, in a terminal, a live part below."""

import os
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kerasweep.results import Outcome, State
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.live_part import JobState, LivePart
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.summary import outcome_text
from kerasweep.terminal import console, output_may_end, params_text, redirect_lines, say

BEST_STYLE = "green"
STYLES: dict[str, str] = {State.FAILED: "red", State.PRUNED: "yellow"}
RECOUNT_SECONDS = 5.0
REDRAW_SECONDS = 0.5


class View:
    """Prints plain lines, for a pipe, a log file, or a terminal that cannot redraw lines."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.clock = progress.clock
        self._recounted = self.clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing: lines need no cleanup."""

    def started(self, worker: int, number: int, repeat: int, params: Params) -> None:
        """Notes that a worker has begun a repeat of a trial."""
        self.progress.started(worker, number)

    def epoch(self, worker: int, epoch: int, value: float | None) -> None:
        """Notes that a worker has ended an epoch; `value` is the best first objective so far."""

    def idle(self, worker: int) -> None:
        """Notes that a worker's job has ended."""
        self.progress.idle(worker)

    def settled(self, number: int, params: Params, outcome: Outcome) -> None:
        """Prints the line of a trial that has ended."""
        self.progress.settled(number, params, outcome)
        count = f"[{self.progress.done}/{self.progress.sweep.total}]"
        seconds = f"  {outcome.seconds:.1f} s" if outcome.seconds else ""
        best = self.progress.best
        is_best = best is not None and best.number == number
        mark = "  new best" if is_best else ""
        style = BEST_STYLE if is_best else STYLES.get(outcome.state, "")
        self.say(
            f"{count} trial {number}: {params_text(params)}  {outcome_text(outcome)}{seconds}{mark}", style
        )

    def say(self, line: str, style: str = "") -> None:
        """Prints a line. style: that of rich, for a terminal with a live part."""
        say(line)

    def refresh(self) -> None:
        """Counts other drivers' trials every few seconds; called after each event, at least once a second."""
        if self.clock() - self._recounted > RECOUNT_SECONDS:
            self.progress.recount()
            self._recounted = self.clock()


class LiveView(View):
    """Shows running trials below the lines, redrawn twice a second by the calling thread.

    Lines wait for the next redraw, which draws the live part once below all of them.
    """

    def __init__(
        self,
        progress: Progress,
        objective: str,
        workers: int,
        epochs: int,
        screen: Console | None = None,
    ) -> None:
        super().__init__(progress)
        self.live_part = LivePart(progress, objective, workers, epochs)
        self._screen = screen or console()
        # rich would redirect stderr to stdout even if stderr is a file.
        self._live = Live(
            self.live_part,
            console=self._screen,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._lines: list[Text] = []
        self._drawn = self.clock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._live)
        self._open.enter_context(redirect_lines(self.say))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes the live part; the lines stay."""
        with self._open:
            self._draw()

    def started(self, worker: int, number: int, repeat: int, params: Params) -> None:
        super().started(worker, number, repeat, params)
        self.live_part.jobs[worker] = JobState(number, repeat, params)

    def epoch(self, worker: int, epoch: int, value: float | None) -> None:
        job = self.live_part.jobs.get(worker)
        if job is not None:
            job.note_epoch(epoch, value, self.clock())

    def idle(self, worker: int) -> None:
        super().idle(worker)
        self.live_part.jobs[worker] = None

    def say(self, line: str, style: str = "") -> None:
        self._lines.append(Text(line, style))

    def refresh(self) -> None:
        super().refresh()
        if self.clock() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        """Prints the waiting lines, and redraws the live part below them."""
        self._drawn = self.clock()
        lines, self._lines = self._lines, []
        with output_may_end():
            if lines:
                self._screen.print(Text("\n").join(lines), soft_wrap=True)
            else:
                self._live.refresh()


class NotebookView(LiveView):
    """Shows the live part as an output of the notebook's cell, which is replaced twice a second."""

    def __enter__(self) -> Self:
        from IPython.display import display

        self._shown = display(self.live_part, display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes the live part; the lines stay."""
        self._shown.update({"text/plain": ""}, raw=True)

    def say(self, line: str, style: str = "") -> None:
        say(line)

    def _draw(self) -> None:
        self._drawn = self.clock()
        self._shown.update(self.live_part)


def open_view(sweep: Sweep, objective: str, workers: int, epochs: int) -> View:
    """Returns a live view for a notebook or an interactive terminal, else a view of plain lines.

    Args:
        sweep: The sweep to show.
        objective: Its text, as in the tag `objective`.
        workers: How many workers train.
        epochs: How many epochs a trial has.
    """
    progress = Progress.read(sweep)
    if _is_notebook():
        return NotebookView(progress, objective, workers, epochs)
    return LiveView(progress, objective, workers, epochs) if _is_live() else View(progress)


def _is_notebook() -> bool:
    """Returns whether this process is the kernel of a notebook, which need not be a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def _is_live() -> bool:
    """Returns whether stdout can redraw lines: no pipe, no CI, no TERM=dumb, no TTY_INTERACTIVE=0."""
    return sys.stdout.isatty() and console().is_interactive and not os.environ.get("CI")
