"""The summary of a tuning shows what each combination was tuned to, and names values at a border."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kerasweep.results import Outcome
from kerasweep.search.arms import Arms, best_of_arms
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.summary_of_tuning import border_notes, print_tuned

BEST = {(3, 7): 2, (3, 8): 3, (3, 9): 3, (5, 7): 2, (5, 8): 2, (5, 9): 1}  # rate by size and seed


def train(params: Any) -> Outcome:
    if params["size"] == 9:
        return Outcome("failed", "run", reason="too large")
    best = BEST[params["size"], params["training.seed"]]
    return Outcome("complete", "run", values=(float(params["rate"] == best),))


def test_most_tunings_decide(
    sweep_of: Callable[..., Sweep],
    search: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = {"size": "3,5,9", "rate": "choice(1,2,3)", "training.seed": "range(7,10)"}
    listed = tuple({"size": size, "training.seed": seed} for size in (3, 5, 9) for seed in (7, 8, 9))
    arms = Arms(frozenset({"size", "training.seed"}), listed, (3,) * 9)
    sweep = replace(sweep_of(entries, total=27, sampler="grid"), arms=arms)
    search(sweep, train)
    best = best_of_arms(sweep.study, sweep.space, arms)
    note = (
        "with size=3, the best rate=3 is at the border of its range; a wider range may contain a better value"
    )
    assert border_notes(sweep, best) == [note]
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "120")
    print_tuned(sweep, best, "all 27 trials are done")
    said = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if "│" in line]
    assert rows == [
        ["size=3", "rate=3 (2 of 3), rate=2 (1 of 3)", "9"],
        ["size=5", "rate=2 (2 of 3), rate=1 (1 of 3)", "9"],
        ["size=9", "no trial is complete in 3 of 3: not compared", "9"],
    ]
    assert said.splitlines()[0] == "tuned: all 27 trials are done"


def test_combinations_at_the_same_border_share_a_note(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any]
) -> None:
    listed = tuple({"size": size, "training.seed": 7} for size in (3, 5, 7, 9))
    arms = Arms(frozenset({"size", "training.seed"}), listed, (3,) * 4)
    entries = {"size": "3,5,7,9", "rate": "choice(1,2,3)", "training.seed": "range(7,10)"}
    sweep = replace(sweep_of(entries, total=12, sampler="grid"), arms=arms)
    best = {3: 3, 5: 2, 7: 1, 9: 3}
    search(
        sweep,
        lambda params: Outcome("complete", "run", values=(float(params["rate"] == best[params["size"]]),)),
    )
    ends = "is at the border of its range; a wider range may contain a better value"
    assert border_notes(sweep, best_of_arms(sweep.study, sweep.space, arms)) == [
        f"with size=3 or size=9, the best rate=3 {ends}",
        f"with size=7, the best rate=1 {ends}",
    ]


def test_one_tuning_is_shown_without_counts(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    listed = ({"size": 5, "training.seed": 7},)
    arms = Arms(frozenset({"size", "training.seed"}), listed, (3,))
    sweep = sweep_of(
        {"size": "3,5", "rate": "choice(1,2,3)", "training.seed": "range(7,10)"}, total=3, sampler="grid"
    )
    sweep = replace(sweep, arms=arms)
    search(sweep, train)
    print_tuned(sweep, best_of_arms(sweep.study, sweep.space, arms), "all 3 trials are done")
    assert "│ size=5      │ rate=2   │ 3      │" in capsys.readouterr().out


def test_values_that_all_differ_are_listed_without_counts(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tuple({"size": 5, "training.seed": seed} for seed in (7, 9))
    arms = Arms(frozenset({"size", "training.seed"}), listed, (3, 3))
    entries = {"size": "3,5", "rate": "choice(1,2,3)", "training.seed": "range(7,10)"}
    sweep = replace(sweep_of(entries, total=6, sampler="grid"), arms=arms)
    search(sweep, train)
    print_tuned(sweep, best_of_arms(sweep.study, sweep.space, arms), "all 6 trials are done")
    assert "│ rate=2, rate=1 │" in capsys.readouterr().out


def test_a_combination_without_a_nuisance_axis_has_nothing_to_tune(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    arms = Arms(frozenset({"size", "training.seed"}), ({"size": 5, "training.seed": 7},), (1,))
    sweep = replace(
        sweep_of({"size": "3,5", "training.seed": "range(7,10)"}, total=1, sampler="grid"), arms=arms
    )
    search(sweep, lambda params: Outcome("complete", "run", values=(0.5,)))
    print_tuned(sweep, best_of_arms(sweep.study, sweep.space, arms), "all 1 trials are done")
    assert "nothing: no axis applies" in capsys.readouterr().out


def test_tunings_at_both_borders_have_no_note(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any]
) -> None:
    """Two of five chose the lowest rate and two the highest."""
    best = {7: 1, 8: 1, 9: 2, 10: 3, 11: 3}
    listed = tuple({"size": 3, "training.seed": seed} for seed in best)
    arms = Arms(frozenset({"size", "training.seed"}), listed, (3,) * 5)
    entries = {"size": "3,5", "rate": "choice(1,2,3)", "training.seed": "range(7,12)"}
    sweep = replace(sweep_of(entries, total=15, sampler="grid"), arms=arms)
    search(
        sweep,
        lambda params: Outcome(
            "complete", "run", values=(float(params["rate"] == best[params["training.seed"]]),)
        ),
    )
    assert border_notes(sweep, best_of_arms(sweep.study, sweep.space, arms)) == []
