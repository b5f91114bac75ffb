"""What a sweep shows while it runs."""

from collections.abc import Callable

import pytest

from src.outcome import Outcome
from src.sweep.driver import Sweep
from src.sweep.space.axis import Params

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}


def test_line_of_each_trial_counts_on_after_a_restart(
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
        "[1/2] a=1 b=4  0.9877  1.2 s",
        "[2/2] a=1 b=5  failed: ValueError: no",
        "[3/3] a=2 b=4  pruned: worse than the median  2.0 s",
    ]
