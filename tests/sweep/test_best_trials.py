"""The best trial is first; repeats of a configuration count by their mean."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kerasweep.results import Outcome
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.best_trials import best_trials, best_value

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}


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


def test_without_a_complete_trial_there_is_no_best(sweep_of: Callable[..., Sweep], search: Search) -> None:
    sweep = sweep_of(GRID, total=2)
    search(sweep, lambda params: Outcome("failed", "run", reason="no"))
    assert best_trials(sweep) == [] and best_value(sweep) is None


def test_several_objectives_have_a_pareto_front(sweep_of: Callable[..., Sweep], search: Search) -> None:
    def train(params: Mapping[str, Any]) -> Outcome:
        return Outcome("complete", "run", (float(params["a"]), float(params["a"] + params["b"])))

    sweep = sweep_of(GRID, total=6, sampler="grid", directions=("maximize", "minimize"))
    search(sweep, train)
    assert {tuple(trial.values) for trial in best_trials(sweep)} == {(1.0, 5.0), (2.0, 6.0), (3.0, 7.0)}


def test_of_equal_means_the_earliest_configuration_is_first(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    """As in the report, whatever the best of their seeds."""
    sweep = sweep_of({"a": "3,4", "training.seed": "0,1"}, total=4, sampler="grid")
    values = {3: (0.5, 0.5), 4: (0.4, 0.6)}
    search(sweep, lambda params: Outcome("complete", "run", (values[params["a"]][params["training.seed"]],)))
    assert [trial.params["a"] for trial in best_trials(sweep)] == [3, 3, 4, 4]


def test_seeds_that_a_sampler_draws_do_not_rank_configurations(
    sweep_of: Callable[..., Sweep], search: Search
) -> None:
    """A random search visits some configurations twice by chance."""
    sweep = sweep_of({"a": "range(5)", "training.seed": "range(9)"}, total=7, seed=1)
    search(sweep)
    counts = Counter(trial.params["a"] for trial in best_trials(sweep))
    assert len(set(counts.values())) > 1
    means = [statistics.fmean(t.value for t in best_trials(sweep) if t.params["a"] == a) for a in counts]
    assert means == sorted(means, reverse=True)
