"""What a sweep prints of itself: what is searched, how far it is, what was best."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from omegaconf import OmegaConf

from src.config.search import ObjectiveConf, SamplerConf, StudyConf
from src.outcome import Outcome
from src.sweep.driver import Sweep
from src.sweep.space.axis import Params
from src.sweep.summary import best_trials, best_value, print_header

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}


def config(question: str | None = None) -> Any:
    return OmegaConf.create(
        {
            "sampler": OmegaConf.structured(SamplerConf("grid")),
            "study": OmegaConf.structured(StudyConf(question=question)),
            "objective": [OmegaConf.structured(ObjectiveConf("val_accuracy", "maximize"))],
        }
    )


def test_header_says_what_is_searched(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    print_header(sweep_of(GRID, total=6), "s", config("Which a?"), ["hydra.sweeper.x is not used."], [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["sweep s-0: 6 trials, sampler grid", "question: Which a?"]
    assert lines[2].startswith("objective: ") and "val_accuracy" in lines[2]
    assert lines[3:] == ["  a: 1, 2, 3", "  b: 4, 5", "note: hydra.sweeper.x is not used."]


def test_header_names_five_impossible_configurations(
    sweep_of: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    left_out = [({"a": number}, "too deep") for number in range(7)]
    print_header(sweep_of(GRID), "s", config(), [], left_out)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-7] == "left out: 7 impossible configurations"
    assert lines[-6] == "  a=0: too deep"
    assert lines[-1] == "  … and 2 more"


def test_header_says_how_much_is_done(
    sweep_of: Callable[..., Sweep], search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    search(sweep_of(GRID, total=2, sampler="grid"))
    print_header(sweep_of(GRID, total=6, sampler="grid"), "s", config(), [], [])
    assert capsys.readouterr().out.splitlines()[-1] == "continuing: 2 of 6 trials are there already"


@pytest.mark.parametrize(("direction", "best"), [("maximize", 8.0), ("minimize", 5.0)])
def test_best_comes_first(
    direction: str, best: float, sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of(GRID, total=6, directions=(direction,))
    search(sweep)
    values = [trial.value for trial in best_trials(sweep)]
    assert values == sorted([5.0, 6.0, 6.0, 7.0, 7.0, 8.0], reverse=direction == "maximize")
    assert best_value(sweep) == best


def test_equal_values_are_in_the_order_of_their_numbers(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of(GRID, total=6)
    search(sweep, lambda params: Outcome("complete", "run", (1.0,)))
    numbers = [trial.number for trial in best_trials(sweep)]
    assert numbers == sorted(numbers)


def test_nothing_complete_has_no_best(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=2)
    search(sweep, lambda params: Outcome("failed", "run", reason="no"))
    assert best_trials(sweep) == [] and best_value(sweep) is None


def test_several_objectives_have_a_pareto_front(sweep_of: Callable[..., Sweep], search: Search) -> None:
    def train(params: Mapping[str, Any]) -> Outcome:
        return Outcome("complete", "run", (float(params["a"]), float(params["a"] + params["b"])))

    sweep = sweep_of(GRID, total=6, sampler="grid", directions=("maximize", "minimize"))
    search(sweep, train)
    assert {tuple(trial.values) for trial in best_trials(sweep)} == {(1.0, 5.0), (2.0, 6.0), (3.0, 7.0)}
