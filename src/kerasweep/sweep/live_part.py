"""Draws the live part of a terminal: the sweep's progress, its best trial, and a line for each worker."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.jupyter import JupyterMixin
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kerasweep.results import State
from kerasweep.space.axis import Params
from kerasweep.sweep.progress import Progress
from kerasweep.terminal import duration_text, params_text, value_text
from kerasweep.tracking.tags import read_objectives, short_names

MAX_BEST_LINES = 3
MIN_PARAMS_WIDTH = 20
LINES_ABOVE = 2
MARGIN = 4
GAP = "  "
EPOCHS = "training.epochs"


@dataclass
class JobState:
    """The job that a worker trains."""

    number: int  # the trial's
    repeat: int
    params: Params
    first: tuple[int, float] | None = None  # the first epoch that was reported, and when it ended
    last: tuple[int, float] | None = None  # the latest one
    value: float | None = None  # the best so far

    def note_epoch(self, epoch: int, value: float | None, now: float) -> None:
        """Notes the end of an epoch."""
        self.first = self.first or (epoch, now)
        self.last = (epoch, now)
        self.value = value

    def speed(self) -> str:
        """Returns the speed since the end of the first epoch, which also built the network."""
        if self.first is None or self.last is None or self.last[0] <= self.first[0]:
            return ""
        epochs, seconds = self.last[0] - self.first[0], max(1e-3, self.last[1] - self.first[1])
        return f"{epochs / seconds:.1f} epochs/s" if epochs > seconds else f"{seconds / epochs:.1f} s/epoch"


@dataclass
class LivePart(JupyterMixin):
    """A renderable of rich, which fits the terminal's current width and height each time it is drawn."""

    progress: Progress
    objective: str  # as in the tag `objective`
    workers: int  # how many there are
    epochs: int  # of a trial whose number of epochs is not an axis
    # Each worker's job, None if the worker waits; a worker that has had no job yet is missing.
    jobs: dict[int, JobState | None] = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # rich would draw this part unwrapped, like the lines above it. The margin leaves room for the
        # terminal's `^C`, so that it begins no line.
        width = max(1, options.max_width - MARGIN)
        options = options.update(width=width, no_wrap=False, overflow="fold")
        head = Group(self._bar(), self._tally(), *self._best(console, options))
        height = len(console.render_lines(head, options))
        yield from console.render(head, options)
        yield from console.render(
            self._rows(options.size.height - height - LINES_ABOVE, options.max_width), options
        )

    def _bar(self) -> RenderableType:
        progress, total = self.progress, self.progress.sweep.total
        seconds, is_budget = progress.seconds_left(self.workers)
        left = "—" if seconds is None else duration_text(seconds)
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_row(
            ProgressBar(total=max(1, total), completed=progress.done),
            Text(f"{progress.done}/{total}", style="bold"),
            Text(f"{duration_text(progress.elapsed)} elapsed, {left} left{' (budget)' if is_budget else ''}"),
        )
        return grid

    def _tally(self) -> Text:
        ends = self.progress.ends
        text = Text(
            f"{self.progress.running} running, {ends[State.COMPLETE]} complete, {ends[State.PRUNED]} pruned, "
        )
        return text.append(f"{ends[State.FAILED]} failed", style="red" if ends["failed"] else "")

    def _best(self, console: Console, options: ConsoleOptions) -> list[Text]:
        """Returns the best trial so far on at most MAX_BEST_LINES lines."""
        best = self.progress.best
        if best is None:
            return []
        values = zip(read_objectives(self.objective), best.values, strict=False)
        text = Text("best ").append(
            ", ".join(f"{metric} {value_text(value)}" for (metric, _), value in values), "bold"
        )
        text.append(f" (trial {best.number}) {params_text(best.params)}")
        lines = list(text.wrap(console, options.max_width, overflow="fold"))
        if len(lines) > MAX_BEST_LINES:
            lines = lines[:MAX_BEST_LINES]
            lines[-1].append(" …")
            lines[-1].truncate(options.max_width, overflow="ellipsis")
        return lines

    def _rows(self, height: int, width: int) -> Text:
        """Returns a line for each worker, as many as fit into the height, each cut at the width."""
        workers = max([self.workers, *(worker + 1 for worker in self.jobs)])  # some may have joined later
        fit = workers if workers <= height else max(0, height - 1)
        names = short_names([axis.key for axis in self.progress.sweep.space.axes], [])
        cells = [self._cells(worker, names) for worker in range(fit)]
        *columns, params = zip(*cells, strict=True) if cells else ([],)
        aligned = [_aligned(column, index < 2) for index, column in enumerate(columns) if any(column)]
        taken = sum(len(column[0]) + len(GAP) for column in aligned)
        shown = [*aligned, params] if width - taken >= MIN_PARAMS_WIDTH else aligned
        lines = [Text(GAP.join(row)) for row in zip(*shown, strict=True)]
        more = workers - fit
        if more and height > 0:
            lines.append(Text(f"… and {more} more workers"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _cells(self, worker: int, names: dict[str, str]) -> list[str]:
        job = self.jobs.get(worker)
        if job is None:
            state = "waits" if worker in self.jobs else "starts"
            return [f"worker {worker}", state, "", "", "", ""]
        repeat = f" repeat {job.repeat}" if self.progress.sweep.repeats > 1 else ""
        params = {names.get(key, key): value for key, value in job.params.items()}
        return [
            f"worker {worker}",
            f"trial {job.number}{repeat}",
            self._epochs(job),
            job.speed(),
            "" if job.value is None else value_text(job.value),
            params_text(params),
        ]

    def _epochs(self, job: JobState) -> str:
        done, planned = job.last[0] if job.last else 0, job.params.get(EPOCHS, self.epochs)
        is_known = isinstance(planned, int) and done <= planned
        return f"epoch {done}/{planned}" if is_known else f"epoch {done}"


def _aligned(column: Sequence[str], is_left: bool) -> list[str]:
    widest = max(map(len, column))
    return [cell.ljust(widest) if is_left else cell.rjust(widest) for cell in column]
