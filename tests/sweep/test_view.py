"""The view prints lines, and in a terminal a live part below them."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.study import Study
from rich.console import Console

from kerasweep.results import Outcome
from kerasweep.search.ledger import settle
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import LiveView, View
from kerasweep.terminal import say
from tests.processes import Command, environment

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def test_lines_continue_the_count_after_a_restart(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = iter(
        [
            Outcome("complete", "run", (0.98765,), seconds=1.25),
            Outcome("failed", "run", reason="ValueError: no"),
            Outcome("pruned", "run", reason="worse than the median", seconds=2.0),
        ]
    )
    for total in (2, 3):
        sweep = sweep_of(GRID, total=total, sampler="grid")
        search(sweep, lambda params: next(outcomes))
    assert capsys.readouterr().out.splitlines() == [
        "[1/2] trial 0: a=1 b=4  0.9877  1.2 s  new best",
        "[2/2] trial 1: a=1 b=5  failed: ValueError: no",
        "[3/3] trial 2: a=2 b=4  pruned: worse than the median  2.0 s",
    ]


def test_line_of_a_repeated_trial_names_the_number_of_its_seeds(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    view = View(Progress.read(sweep_of(GRID, total=6)))
    view.settled(0, {"a": 1}, Outcome("complete", "run", (0.5,), seeds=(0.4, 0.6), seconds=3.0))
    dropped = Outcome("pruned", "run", (0.3,), seeds=(0.2, 0.4), reason="dropped after 2 of 5 seeds")
    view.settled(1, {"a": 2}, dropped)
    assert capsys.readouterr().out.splitlines() == [
        "[1/6] trial 0: a=1  mean of 2 seeds 0.5  3.0 s  new best",
        "[2/6] trial 1: a=2  pruned: dropped after 2 of 5 seeds, mean of 2 seeds 0.3",
    ]


def test_line_counts_the_trials_of_other_drivers_within_seconds(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    view = View(Progress.read(sweep_of(GRID, total=6), lambda: now[0]))
    other = sweep_of(GRID, total=6)
    for _ in range(3):
        trial = other.study.ask()
        other.space.suggest(trial)
        settle(other.study, trial, Outcome("complete", "run", (1.0,)))
    view.refresh()
    view.settled(100, {"a": 1}, Outcome("complete", "run", (1.0,)))
    now[0] = 6.0
    view.refresh()
    view.settled(101, {"a": 1}, Outcome("complete", "run", (1.0,)))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["[1/6]", "[5/6]"]


def test_settling_does_not_read_the_study(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View(Progress.read(sweep_of(GRID, total=6)))

    def read(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a long study is not read for each of its trials")

    monkeypatch.setattr(Study, "get_trials", read)
    view.started(0, 0, 0, {"a": 1})
    view.idle(0)
    view.settled(0, {"a": 1}, Outcome("complete", "run", (1.0,)))
    view.refresh()


class Screen:
    """A terminal of a given size, and a clock that the test moves."""

    def __init__(self, width: int, height: int) -> None:
        self.now = 0.0
        self.file = io.StringIO()
        # Otherwise a variable such as COLUMNS would win.
        environment = {"TERM": "xterm"}
        self.console = Console(
            file=self.file,
            force_terminal=True,
            width=width,
            height=height,
            highlight=False,
            markup=False,
            emoji=False,
            color_system=None,
            _environ=environment,
        )

    def view(self, sweep: Sweep, workers: int = 2, epochs: int = 5) -> LiveView:
        progress = Progress.read(sweep, lambda: self.now)
        return LiveView(progress, "val_accuracy maximize", workers, epochs, screen=self.console)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def live_part(self, view: LiveView) -> list[str]:
        """Returns the lines of the live part."""
        with self.console.capture() as capture:
            self.console.print(view.live_part)
        return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def screen() -> Screen:
    return Screen(100, 24)


def test_live_part_shows_a_sweep(screen: Screen, sweep_of: Callable[..., Sweep]) -> None:
    view = screen.view(sweep_of(GRID, total=6))
    view.started(0, 0, 0, {"a": 1, "b": 4})
    view.started(1, 1, 0, {"a": 1, "b": 5})
    screen.wait(2)
    view.epoch(0, 1, 0.5)
    for epoch in (2, 3):
        screen.wait(0.25)
        view.epoch(0, epoch, 0.75)
    screen.wait(7.5)
    view.epoch(1, 1, 0.25)
    screen.wait(2.5)
    view.epoch(1, 2, 0.25)
    view.idle(1)
    view.settled(1, {"a": 1, "b": 5}, Outcome("complete", "run", (0.98765,)))
    bar, tally, best, keys, row, first, second = screen.live_part(view)
    assert bar.endswith("  1/6  0:00:12 elapsed, 0:00:25 left")  # (5 × 12.5 − 12.5) / 2
    assert tally == "1 running, 1 complete, 0 pruned, 0 failed"
    assert best == "best val_accuracy 0.9877 (trial 1)"
    assert keys == "worker  trial  epoch  speed  value   a  b"
    assert row == "best    1                    0.9877  1  5"
    assert first == "0       0      3/5    4.0/s  0.75    1  4"
    assert second == "1       waits"
    view.started(1, 2, 0, {"a": 2, "b": 4})
    view.epoch(1, 1, 0.5)
    screen.wait(30)
    view.epoch(1, 2, 0.5)
    assert "  30.0 s  " in screen.live_part(view)[-1]


def test_live_part_before_anything_is_known(screen: Screen, sweep_of: Callable[..., Sweep]) -> None:
    bar, tally, _, first, second = screen.live_part(screen.view(sweep_of(GRID, total=6)))
    assert bar.endswith("0/6  0:00:00 elapsed, — left")
    assert tally == "0 running, 0 complete, 0 pruned, 0 failed"
    assert (first, second) == ("0       starts", "1       starts")


def test_live_part_names_the_budget_that_ends_the_sweep(
    screen: Screen, sweep_of: Callable[..., Sweep]
) -> None:
    view = screen.view(sweep_of(GRID, total=6, hours=0.5))
    assert screen.live_part(view)[0].endswith("0/6  0:00:00 elapsed, 0:30:00 left (budget)")


def test_live_part_shows_seeds_and_the_epochs_of_each_trial(
    screen: Screen, sweep_of: Callable[..., Sweep]
) -> None:
    sweep = sweep_of({"training.epochs": "range(1,9)"}, total=6)
    view = screen.view(Sweep(**{**vars(sweep), "repeats": 3}), epochs=5)
    view.started(0, 4, 2, {"training.epochs": 8})
    view.epoch(0, 6, 0.5)
    view.started(1, 5, 0, {})
    view.epoch(1, 6, 0.5)  # a custom function may exceed training.epochs
    assert screen.live_part(view)[-2].startswith("0       4.2    6/8  ")
    assert screen.live_part(view)[-1].startswith("1       5.0    6    ")


def test_live_part_of_the_quickstart_fits_a_terminal_of_80_columns(sweep_of: Callable[..., Sweep]) -> None:
    """Keys are cut before values are."""
    params: Params = {
        "model.kernel_size": 7,
        "training.batch_size": 128,
        "regularizer": "l2",
        "initializer": "glorot_uniform",
    }
    screen = Screen(80, 24)
    view = screen.view(
        sweep_of(
            {key: "none,l2" if key == "regularizer" else f"{value},1" for key, value in params.items()},
            total=24,
        )
    )
    view.started(0, 13, 0, params)
    view.epoch(0, 1, 0.5)
    screen.wait(0.5)
    view.epoch(0, 2, 0.97654)
    *_, keys, worker, _ = screen.live_part(view)
    assert keys == "worker  trial   epoch  value   kernel_…  batch_s…  regulari…  initializer"
    assert worker == "0       13      2/5    0.9765  7         128       l2         glorot_uniform"


def test_lines_are_coloured_in_a_terminal(sweep_of: Callable[..., Sweep]) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system="standard", _environ={})
    progress = Progress.read(sweep_of(GRID, total=6), lambda: 0.0)
    with LiveView(progress, "val_accuracy maximize", 1, 5, screen=console) as view:
        view.settled(0, {"a": 1}, Outcome("complete", "run", (0.5,)))
        view.settled(1, {"a": 2}, Outcome("complete", "run", (0.4,)))
        view.settled(2, {"a": 3}, Outcome("failed", "run", reason="no"))
        view.settled(3, {"a": 3}, Outcome("pruned", "run", reason="late"))
    written = file.getvalue()
    assert "\x1b[32m[1/6] trial 0: a=1  0.5  new best" in written
    assert "\n[2/6] trial 1: a=2  0.4\n" in written
    assert "\x1b[31m[3/6] trial 2: a=3  failed: no" in written
    assert "\x1b[33m[4/6] trial 3: a=3  pruned: late" in written


@pytest.mark.parametrize("width", [10, 30, 60, 100, 300])
@pytest.mark.parametrize("height", [3, 10, 24])
def test_live_part_fits_into_the_terminal(width: int, height: int, sweep_of: Callable[..., Sweep]) -> None:
    screen = Screen(width, height)
    entries = {f"model.some_group.key_{letter}": "choice(" + "x" * 40 + ",y)" for letter in "abcdefgh"}
    params: Params = {key: "x" * 40 for key in entries}
    view = screen.view(sweep_of(entries, total=1000), workers=64)
    for worker in range(64):
        view.started(worker, 1000 + worker, 0, params)
        view.epoch(worker, 100, 123456.789)
    view.settled(1, params, Outcome("complete", "run", (123456.789,)))
    with view:
        screen.wait(1)
        view.refresh()
    lines = screen.live_part(view)
    assert all(len(line) <= width - 4 for line in lines) and any(lines)
    assert width < 60 or height < 24 or len(lines) < height
    if (width, height) == (100, 24):
        assert lines[4].endswith("…") and lines[-2].startswith("15 ")
        assert lines[-1] == "… and 48 more workers"


def test_lines_wait_for_the_live_part_to_be_drawn(screen: Screen, sweep_of: Callable[..., Sweep]) -> None:
    with screen.view(sweep_of(GRID, total=6)) as view:
        begun = len(screen.file.getvalue())
        view.say("a line")
        say("another [red]line[/red], " + "x" * 200)
        view.refresh()
        assert len(screen.file.getvalue()) == begun
        screen.wait(0.5)
        view.refresh()
        said = screen.file.getvalue()[begun:]
        assert f"a line\nanother [red]line[/red], {'x' * 200}\n" in said
        assert said.count("elapsed") == 1  # the two lines and the live part were printed together
        view.say("the last line")
    assert "the last line\n" in screen.file.getvalue()


def test_live_part_is_drawn_twice_a_second_at_most(screen: Screen, sweep_of: Callable[..., Sweep]) -> None:
    with screen.view(sweep_of(GRID, total=6)) as view:
        begun = screen.file.getvalue().count("elapsed")
        for _ in range(40):
            screen.wait(0.05)
            view.refresh()
        assert screen.file.getvalue().count("elapsed") - begun in (3, 4)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_error_leaves_the_terminal_as_it_was(
    error: type[BaseException], screen: Screen, sweep_of: Callable[..., Sweep]
) -> None:
    streams = sys.stdout, sys.stderr
    with pytest.raises(error), screen.view(sweep_of(GRID, total=6)) as view:
        view.settled(0, {"a": 1}, Outcome("failed", "run", reason="no"))
        raise error
    written = screen.file.getvalue()
    assert written.count(HIDE_CURSOR) == written.count(SHOW_CURSOR) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex("elapsed")
    assert "[1/6] trial 0: a=1  failed: no\n" in written
    assert (sys.stdout, sys.stderr) == streams


def test_lines_go_to_stdout_again_afterwards(
    screen: Screen, sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    with screen.view(sweep_of(GRID, total=6)):
        pass
    say("after")
    assert capsys.readouterr().out == "after\n"


SCRIPT = """
import sys, time
from pathlib import Path
from omegaconf import OmegaConf
from kerasweep.config.search import BudgetConf, SamplerConf
from kerasweep.results import Outcome
from kerasweep.search.sweep import Sweep
from kerasweep.space.parse import axis_of_entry, make_space
from kerasweep.search.journal import JournalFolder
from kerasweep.sweep.view import open_view

folder = JournalFolder(Path(sys.argv[1]))
space = make_space([axis_of_entry("a", "1,2,3", lambda key: [])], {}.get)
sampler, budget = OmegaConf.structured(SamplerConf("random")), OmegaConf.structured(BudgetConf())
study = folder.open("s", ("maximize",))
sweep = Sweep("s", study, space, folder, folder.folder, 3, sampler, budget, lambda params: None)
with open_view(sweep, "val_accuracy maximize", 2, 5) as view:
    view.started(0, 0, 0, {"a": 1})
    time.sleep(0.6)
    view.refresh()
    view.idle(0)
    view.settled(0, {"a": 1}, Outcome("complete", "run", (0.5,), seconds=1.5))
print("the end")
"""
LINE = "[1/3] trial 0: a=1  0.5  1.5 s  new best"


def run_script(folder: Path, output: int, variables: dict[str, str]) -> None:
    own = ("CI", "TTY_INTERACTIVE", "TTY_COMPATIBLE", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES")
    kept = {key: value for key, value in environment().items() if key not in own}
    command = Command(
        folder, ["-c", SCRIPT, str(folder)], kept | {"TERM": "xterm", **variables}, output=output
    )
    command.communicate(timeout=60)
    assert command.returncode == 0


def in_terminal(folder: Path, variables: dict[str, str]) -> str:
    """Returns the output of the script in a terminal of 60 columns."""
    driver, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    run_script(folder, terminal, variables)
    os.close(terminal)
    written = b""
    try:
        while piece := os.read(driver, 65536):
            written += piece
    except OSError:
        pass  # Linux raises this when no process has the terminal open
    os.close(driver)
    return written.decode()


def test_terminal_gets_the_live_view(tmp_path: Path) -> None:
    written = in_terminal(tmp_path, {})
    assert "0       0       0/5    1" in written and "0/3" in written
    assert LINE in written
    assert written.count(HIDE_CURSOR) == written.count(SHOW_CURSOR) == 1
    assert written.endswith("the end\r\n")


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"CI": "true"}, {"TTY_INTERACTIVE": "0"}])
def test_terminal_that_cannot_redraw_gets_lines(variables: dict[str, str], tmp_path: Path) -> None:
    assert in_terminal(tmp_path, variables).splitlines() == [LINE, "the end"]


def test_pipe_gets_lines(tmp_path: Path) -> None:
    with open(tmp_path / "out.txt", "w") as file:
        run_script(tmp_path, file.fileno(), {"FORCE_COLOR": "1"})
    assert (tmp_path / "out.txt").read_text().splitlines() == [LINE, "the end"]
