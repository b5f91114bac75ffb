"""The summary prints the search, its progress and its best trials."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import ObjectiveConf, SamplerConf, StudyConf, TrackingConf
from kerasweep.results import Outcome
from kerasweep.search.ledger import settle
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.best_trials import best_trials, best_value
from kerasweep.sweep.summary import outcome_text, print_best, print_commands, print_end, print_header

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}


@pytest.fixture(autouse=True)
def database(empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run is in MLflow."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{empty_database}")


def config(question: str | None = None) -> Any:
    return OmegaConf.create(
        {
            "sampler": OmegaConf.structured(SamplerConf("grid")),
            "study": OmegaConf.structured(StudyConf(question=question)),
            "objective": [OmegaConf.structured(ObjectiveConf("val_accuracy", "maximize"))],
        }
    )


def test_header_names_the_search_and_its_axes(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    print_header(sweep_of(GRID, total=6), "s", config("Which a?"), ["hydra.sweeper.x is not used."], [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["sweep s-0: 6 trials, sampler grid", "question: Which a?"]
    assert lines[2].startswith("objective: ") and "val_accuracy" in lines[2]
    assert lines[3:] == ["  a: 1, 2, 3", "  b: 4, 5", "note: hydra.sweeper.x is not used."]


def test_tuned_axes_have_no_range_no_border_and_no_importance(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of({"a": "range(4)", "b": "range(4)"}, total=16, sampler="grid")
    search(sweep)
    tuned = replace(sweep, tuned=frozenset({"b"}))
    capsys.readouterr()
    print_header(tuned, "s", config(), [], [])
    assert capsys.readouterr().out.splitlines()[2:4] == ["  a: 0, 1, 2, 3", "  b: tuned"]
    lines = end(tuned, capsys)
    assert [line for line in lines if line.startswith("note: the best")] == [
        "note: the best a=3 is at the border of its range; a wider range may contain a better value."
    ]
    assert "importance" not in " ".join(lines) and "importance" in " ".join(end(sweep, capsys))


def test_header_names_five_impossible_configurations(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    left_out = [({"a": number}, "too deep") for number in range(7)]
    print_header(sweep_of(GRID), "s", config(), [], left_out)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-7] == "left out: 7 impossible configurations"
    assert lines[-6] == "  a=0: too deep"
    assert lines[-1] == "  … and 2 more"


def test_header_counts_the_trials_that_are_done(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    search(sweep_of(GRID, total=2, sampler="grid"))
    print_header(sweep_of(GRID, total=6, sampler="grid"), "s", config(), [], [])
    assert capsys.readouterr().out.splitlines()[-1] == "continuing: 2 of 6 trials are there already"


def test_header_names_more_trials_than_requested(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    search(sweep_of(GRID, total=4, sampler="grid"))
    print_header(sweep_of(GRID, total=3, sampler="grid"), "s", config(), [], [])
    said = "4 trials are there already, more than the 3 that were asked for"
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_header_ends_with_the_notes_of_the_sweep(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    print_header(replace(sweep_of(GRID), notes=("mind this",)), "s", config(), ["and that"], [])
    assert capsys.readouterr().out.splitlines()[-2:] == ["note: and that", "note: mind this"]


def end(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Returns the lines at the end of a sweep, without frames."""
    record: Any = SimpleNamespace(
        cfg=OmegaConf.create({"objective": config().objective, "tracking": TrackingConf()}),
        keeps_model=lambda run_id: True,
        tracker=SimpleNamespace(uri="sqlite:///x.db", is_default=True, experiment_id="1"),
        sweep=sweep,
    )
    capsys.readouterr()
    print_end(sweep, "all trials are done")
    print_best(sweep, record)
    print_commands(record)
    lines = capsys.readouterr().out.splitlines()
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in lines]


def test_end_counts_trials_and_prints_the_next_commands(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = iter(
        [
            Outcome("complete", "best", (0.75,), seconds=2.5),
            Outcome("pruned", "run", (0.5,), reason="worse than the median"),
            Outcome("failed", "run", reason="no"),
            Outcome("pruned", "run", (0.5,), reason="worse than the median"),
        ]
    )
    sweep = sweep_of(GRID, total=4, sampler="grid")
    search(sweep, lambda params: next(ends))
    lines = end(sweep, capsys)
    assert lines[:3] == ["finished: all trials are done", "1 complete, 2 pruned, 1 failed", "best trials:"]
    assert lines[4] == "trial val_accuracy maximize seconds configuration"
    assert lines[6] == "0 0.75 2.5 a=1 b=4"
    assert [line.split(":")[0] for line in lines[-5:]] == [
        *("browse", "compare", "predict", "refit", "export")
    ]
    assert lines[-3].startswith("predict:") and "run_id=best" in lines[-3]


def test_end_without_any_trial_says_so(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(sweep_of(GRID, total=2), capsys) == ["finished: all trials are done", "no trial was trained"]


def test_end_without_a_complete_trial_says_where_the_reasons_are(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of(GRID, total=2)
    search(sweep, lambda params: Outcome("failed", "run", reason="no"))
    assert end(sweep, capsys) == [
        "finished: all trials are done",
        "2 failed",
        "No trial is complete: the reasons are in the tag `reason` of each run.",
        "Failed trials count as tried. After you have removed the cause, study.fresh=true trains them again.",
    ]


@pytest.mark.parametrize(
    ("space", "noted"),
    [
        ({"a": "1,2,3"}, ["a=3"]),
        ({"a": "range(1,4)"}, ["a=3"]),
        ({"a": "1,2", "b": "5,6,4"}, ["b=6"]),
        ({"a": "1,2"}, []),
        ({"a": "choice(x,y,z)"}, []),
    ],
)
def test_end_notes_best_values_at_a_border(
    space: Mapping[str, str],
    noted: list[str],
    sweep_of: Callable[..., Sweep],
    search: Search,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = sweep_of(space, total=6, sampler="grid")
    search(sweep)
    notes = [line for line in end(sweep, capsys) if line.startswith("note:")]
    assert notes == [
        f"note: the best {axis} is at the border of its range; a wider range may contain a better value."
        for axis in noted
    ]


def test_a_border_that_nothing_can_cross_is_not_noted(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rate of dropout is never below 0."""
    sweep = sweep_of({"a": "1,2,3"}, total=6, sampler="grid")
    search(sweep)
    bounded = replace(sweep, refusal=lambda params: "too large" if params["a"] > 3 else None)
    assert not [line for line in end(bounded, capsys) if line.startswith("note:")]


def repeated(sweep: Sweep, repeats: int) -> Sweep:
    return Sweep(**{**vars(sweep), "repeats": repeats})


def tell(sweep: Sweep, state: str, seeds: tuple[float, ...]) -> None:
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    mean = sum(seeds) / len(seeds)
    settle(sweep.study, trial, Outcome(state, "run", (mean,), seconds=3.0, seeds=seeds, reason="dropped"))


def test_end_shows_means_with_their_seeds_and_dropped_trials_below(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = repeated(sweep_of({"a": "choice(7)"}, total=4), 4)
    tell(sweep, "complete", (0.5, 0.5, 0.75, 0.75))
    tell(sweep, "pruned", (0.25, 0.5))
    tell(sweep, "pruned", (0.5,))
    tell(sweep, "complete", (1.0, 1.0, 1.0, 1.0))
    lines = end(sweep, capsys)
    assert lines[1:3] == [
        "2 complete, 2 pruned",
        "best trials, mean ± standard deviation of the seeds:",
    ]
    assert lines[4] == "trial val_accuracy maximize seeds seconds configuration"
    assert lines[6:8] == ["3 1 ± 0 4 3.0 a=7", "0 0.625 ± 0.14 4 3.0 a=7"]
    assert lines[9:11] == ["2 0.5 1 of 4, dropped 3.0 a=7", "1 0.375 ± 0.18 2 of 4, dropped 3.0 a=7"]


def test_end_shows_the_importance_of_axes(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of({"a": "x,y", "longer": "range(12)"}, total=24, sampler="grid")
    search(sweep, lambda params: Outcome("complete", "run", (float(params["longer"]),)))
    lines = end(sweep, capsys)
    place = lines.index(
        "parameter importance (PED-ANOVA: how the best 6 differ from all 24 complete trials):"
    )
    assert lines[place + 1 : place + 3] == ["longer 100%", "a 0% not told from noise"]


def test_a_seed_is_never_important_nor_at_a_border_nor_a_winner(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    """The luckiest seed belongs to the configuration with the worse mean."""
    sweep = sweep_of({"a": "3,5", "training.seed": "0,1,2", "data.seed": "0,1"}, total=12, sampler="grid")

    def train(params: Mapping[str, Any]) -> Outcome:
        luck = 0.9 if params == {"a": 3, "training.seed": 2, "data.seed": 1} else 0.0
        return Outcome(
            "complete", "run", (0.5 + 0.2 * (params["a"] == 5) + luck + 0.01 * params["training.seed"],)
        )

    search(sweep, train)
    best = best_trials(sweep)
    assert [trial.params["a"] for trial in best] == [5] * 6 + [3] * 6
    assert best[0].params["training.seed"] == 2 and best[6].values == [1.42]
    lines = " ".join(end(sweep, capsys))
    assert "seed" not in lines.partition("importance")[2] and "the best training.seed" not in lines


def test_a_configuration_that_lacks_seeds_ranks_after_the_others(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of({"a": "3,4,5", "training.seed": "0,1,2"}, total=9, sampler="grid")
    values = {3: (0.99, 0.98, None), 4: (0.6, 0.9, 0.9), 5: (0.7, 0.7, 0.7)}

    def train(params: Mapping[str, Any]) -> Outcome:
        value = values[params["a"]][params["training.seed"]]
        if value is None:
            return Outcome("failed", "run", reason="the loss is nan")
        return Outcome("complete", "run", (value,))

    search(sweep, train)
    assert [trial.params["a"] for trial in best_trials(sweep)] == [4, 4, 4, 5, 5, 5, 3, 3]
    assert best_value(sweep) == pytest.approx(0.8)
    lines = end(sweep, capsys)
    assert "best trials, by the mean over their seeds:" in lines
    assert (
        "note: a=3 has the better mean 0.985, but 2 values where others have 3, so it ranks after them."
        in lines
    )


def test_end_of_repeats_leaves_the_importance_to_the_report(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of({"a": "x,y", "b": "range(12)"}, total=24, sampler="grid")
    search(sweep, lambda params: Outcome("complete", "run", (float(params["b"]),)))
    assert "importance" not in " ".join(end(replace(sweep, repeats=3), capsys))


def test_end_of_two_objectives_has_no_importance(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of({"a": "range(4)", "b": "range(4)"}, 16, "grid", ("maximize", "minimize"))
    search(sweep, lambda params: Outcome("complete", "run", (float(params["a"]), float(params["b"]))))
    lines = end(sweep, capsys)
    assert "best trade-offs (Pareto front):" in lines and "importance" not in " ".join(lines)


def test_trial_that_is_pruned_without_a_reason_has_a_plain_line() -> None:
    assert outcome_text(Outcome("pruned", "run", (0.5,))) == "pruned"


def test_a_reason_of_several_lines_is_printed_on_one() -> None:
    outcome = Outcome("failed", "run", reason="ValueError: no such file\n  second line\n")
    assert outcome_text(outcome) == "failed: ValueError: no such file second line"
