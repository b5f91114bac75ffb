"""Draws the live part of a terminal: the sweep's progress, its best trial, and a row for each worker."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.jupyter import JupyterMixin
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kerasweep.results import State
from kerasweep.space.rows import Params
from kerasweep.sweep.progress import Progress
from kerasweep.terminal import duration_text, value_text
from kerasweep.tracking.tags import read_objectives, short_names, tag_text

MAX_BEST_LINES = 3
MIN_KEY = 4
LINES_ABOVE = 2
MARGIN = 4
GAP = "  "
EPOCHS, SPEED = "training.epochs", "speed"


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
        """Returns epochs a second or seconds an epoch, since the first, which also built the network."""
        if self.first is None or self.last is None or self.last[0] <= self.first[0]:
            return ""
        epochs, seconds = self.last[0] - self.first[0], max(1e-3, self.last[1] - self.first[1])
        return f"{epochs / seconds:.1f}/s" if epochs > seconds else f"{seconds / epochs:.1f} s"


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
        text = Text(f"{self.progress.running} running, {ends[State.COMPLETE]} complete, ")
        text.append(f"{ends[State.PRUNED]} pruned", style="yellow" if ends[State.PRUNED] else "")
        return text.append(", ").append(
            f"{ends[State.FAILED]} failed", style="red" if ends[State.FAILED] else ""
        )

    def _best(self, console: Console, options: ConsoleOptions) -> list[Text]:
        """Returns the values of the best trial so far on at most MAX_BEST_LINES lines."""
        best = self.progress.best
        if best is None:
            return []
        values = zip(read_objectives(self.objective), best.values, strict=False)
        text = Text("best ").append(
            ", ".join(f"{metric} {value_text(value)}" for (metric, _), value in values), "bold"
        )
        lines = list(text.append(f" (trial {best.number})").wrap(console, options.max_width))
        return lines[:MAX_BEST_LINES]

    def _rows(self, height: int, width: int) -> Text:
        """Returns the keys, the best trial, and a line for each worker, as many as fit into the height."""
        workers = max([self.workers, *(worker + 1 for worker in self.jobs)])  # some may have joined later
        keys = [axis.key for axis in self.progress.sweep.space.axes]
        names = short_names(keys, [])
        head = ["worker", "trial", "epoch", SPEED, "value", *(names[key] for key in keys)]
        best = self.progress.best
        rows = [] if best is None else [self._best_row(keys)]
        fit = min(workers, max(0, height - 1 - len(rows)))
        if fit < workers:
            fit = max(0, fit - 1)  # the last line tells how many are left out
        rows += [self._cells(worker, keys) for worker in range(fit)]
        lines = [Text(line) for line in _table(head, rows, width)] if fit else []
        if lines:
            lines[0].stylize("dim")
        if lines and best is not None:
            lines[1].stylize("green")
        if fit < workers and height > 0:
            lines.append(Text(f"… and {workers - fit} more workers"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _best_row(self, keys: Sequence[str]) -> list[str]:
        best = self.progress.best
        assert best is not None
        values = [_cell(best.params.get(key, "-")) for key in keys]
        return ["best", str(best.number), "", "", value_text(best.values[0]), *values]

    def _cells(self, worker: int, keys: Sequence[str]) -> list[str]:
        job = self.jobs.get(worker)
        if job is None:
            state = "waits" if worker in self.jobs else "starts"
            return [str(worker), state, "", "", "", *("" for _ in keys)]
        repeat = f".{job.repeat}" if self.progress.sweep.repeats > 1 else ""
        return [
            str(worker),
            f"{job.number}{repeat}",
            self._epochs(job),
            job.speed(),
            "" if job.value is None else value_text(job.value),
            *(_cell(job.params.get(key, "-")) for key in keys),
        ]

    def _epochs(self, job: JobState) -> str:
        done, planned = job.last[0] if job.last else 0, job.params.get(EPOCHS, self.epochs)
        is_known = isinstance(planned, int) and done <= planned
        return f"{done}/{planned}" if is_known else str(done)


def _cell(value: object) -> str:
    return value_text(value) if isinstance(value, float) else tag_text(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Returns the lines of a table, each at most `width` wide as long as the values fit.

    Empty columns are left out. If the table is too wide, so is the speed, and keys that are wider than their
    values are cut.
    """
    columns = [column for column in zip(head, *rows, strict=True) if any(column[1:])]
    if sum(max(map(len, column)) + len(GAP) for column in columns) - len(GAP) > width:
        columns = [column for column in columns if column[0] != SPEED]
    values = [max(map(len, column[1:])) for column in columns]
    widths = [max(len(column[0]), value) for column, value in zip(columns, values, strict=True)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        excess = [wide - max(value, MIN_KEY) for wide, value in zip(widths, values, strict=True)]
        if max(excess) <= 0:
            break
        widths[excess.index(max(excess))] -= 1
    lines = zip(*(_fitted(column, wide) for column, wide in zip(columns, widths, strict=True)), strict=True)
    return [GAP.join(line).rstrip() for line in lines]


def _fitted(column: Sequence[str], width: int) -> list[str]:
    key, *values = column
    shown = key if len(key) <= width else f"{key[: width - 1]}…"
    return [shown.ljust(width), *(value.ljust(width) for value in values)]
