"""Weights move with the folder of their sweep, and nothing outside it is removed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kerasweep.results import Outcome
from kerasweep.search.ledger import RESULT, settle
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.best_repeats import delete_other_weights, due_winners, lost_winners
from kerasweep.sweep.weight_files import found, is_within, stored


def outcome(weights: Path | str | None) -> Outcome:
    return Outcome("complete", "run", (1.0,), weights=None if weights is None else str(weights))


def test_weights_in_the_sweeps_folder_are_stored_relative_to_it(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs/s-0"
    assert stored(outcome(jobs / "3/best.npz"), jobs).weights == "3/best.npz"
    assert found(outcome("3/best.npz"), jobs).weights == str(jobs / "3/best.npz")
    assert stored(outcome(jobs / "3/best.npz"), tmp_path / "x/../jobs/s-0").weights == "3/best.npz"
    elsewhere = outcome(tmp_path / "jobs/s-00/3/best.npz")
    assert stored(elsewhere, jobs) == found(elsewhere, jobs) == elsewhere
    assert stored(outcome(None), jobs) == found(outcome(None), jobs) == outcome(None)


def test_absolute_paths_of_older_journals_follow_a_folder_that_was_moved(tmp_path: Path) -> None:
    old, jobs = tmp_path / "old/jobs/s-0/3/best.npz", tmp_path / "new/jobs/s-0"
    for file in (old, jobs / "3/best.npz"):
        file.parent.mkdir(parents=True)
        file.touch()
    assert found(outcome(old), jobs).weights == str(jobs / "3/best.npz")
    (jobs / "3/best.npz").unlink()
    assert found(outcome(old), jobs).weights == str(old)


@pytest.mark.parametrize(
    "name", ["../other/best.npz", "{tmp}/other/best.npz", "link/best.npz", "/etc/hostname"]
)
def test_a_journal_that_names_a_file_outside_removes_nothing(
    sweep_of: Callable[..., Sweep], tmp_path: Path, name: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/best.npz").touch()
    jobs = tmp_path / "s-0"
    jobs.mkdir()
    (jobs / "link").symlink_to(tmp_path / "other")
    sweep = replace(sweep_of({"a": "range(9)"}), jobs=jobs)
    assert not is_within(jobs / name.format(tmp=tmp_path), jobs)
    for weights, value in ((name.format(tmp=tmp_path), 0.1), ("best.npz", 0.9)):
        trial = sweep.study.ask()
        sweep.space.suggest(trial)
        settle(sweep.study, trial, replace(outcome(weights), values=(value,)))
    (jobs / "best.npz").touch()
    delete_other_weights(sweep, due_winners(sweep))
    assert (tmp_path / "other/best.npz").exists() and Path("/etc/hostname").exists()
    assert (jobs / "best.npz").exists()


def test_weights_of_a_copied_sweep_are_its_own(sweep_of: Callable[..., Sweep], tmp_path: Path) -> None:
    sweep = replace(sweep_of({"a": "range(9)"}), jobs=tmp_path / "one/s-0")
    for folder in ("one", "copy"):
        for number in (0, 1):
            (tmp_path / folder / f"s-0/{number}").mkdir(parents=True)
            (tmp_path / folder / f"s-0/{number}/best.npz").touch()
    for number, value in ((0, 0.9), (1, 0.1)):
        trial = sweep.study.ask()
        sweep.space.suggest(trial)
        weights = tmp_path / f"one/s-0/{number}/best.npz"
        settle(sweep.study, trial, stored(replace(outcome(weights), values=(value,)), sweep.jobs))
    assert sweep.study.trials[0].user_attrs[RESULT]["left"] == "0/best.npz"
    copy = replace(sweep, jobs=tmp_path / "copy/s-0")
    (winner,) = due_winners(copy)
    assert winner.outcome.weights == str(tmp_path / "copy/s-0/0/best.npz") and winner.may_delete
    delete_other_weights(copy, [winner])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/s-0/*/best.npz")) == [
        "copy/s-0/0/best.npz",
        "one/s-0/0/best.npz",
        "one/s-0/1/best.npz",
    ]
    (tmp_path / "copy/s-0/0/best.npz").unlink()
    assert due_winners(copy) == [] and [lost.number for lost in lost_winners(copy)] == [0]
