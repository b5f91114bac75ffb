"""Each combination gets its own search: its trials alone guide its sampler and its pruner."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from optuna.pruners import MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from kerasweep.results import Outcome
from kerasweep.search.arms import ArmPruner, Arms, ArmSampler, best_of_arms
from kerasweep.search.ask import ask
from kerasweep.search.ledger import LOST, RETRY_OF, counts, fail_and_retry, recover
from kerasweep.search.samplers import build_sampler
from kerasweep.search.stops import Ending
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from tests.searches import number

LISTED: tuple[Params, ...] = ({"size": 3}, {"size": 5})
GRID = {"size": "3,5", "rate": "1,2,3"}
INTERVAL = {"size": "3,5", "rate": "interval(0.0,1.0)"}
Tuned = Callable[..., Sweep]
Search = Callable[..., tuple[str, list[Params]]]


@pytest.fixture
def tuned(sweep_of: Callable[..., Sweep]) -> Tuned:
    """Returns a function that opens a sweep of two arms."""

    def build(entries: Mapping[str, Any], trials: int, **more: Any) -> Sweep:
        sweep = sweep_of(entries, total=2 * trials, **more)
        return replace(sweep, arms=Arms(frozenset({"size"}), LISTED, (trials, trials)))

    return build


def opposite(params: Mapping[str, Any]) -> Outcome:
    """The best rate of one size is the worst of the other."""
    sign = 1 if params["size"] == 3 else -1
    return Outcome("complete", "run", values=(sign * float(params["rate"]),))


def test_grid_is_tried_for_every_arm_in_rounds(tuned: Tuned, search: Search) -> None:
    sweep = tuned(GRID, 3, sampler="grid")
    reason, trained = search(sweep, opposite)
    assert reason == "all 6 trials are done"
    assert trained == [{"size": size, "rate": rate} for rate in (1, 2, 3) for size in (3, 5)]
    assert sweep.arms is not None
    assert best_of_arms(sweep.study, sweep.space, sweep.arms) == [
        {"size": 3, "rate": 3},
        {"size": 5, "rate": 1},
    ]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize(("entries", "trials"), [(INTERVAL, 6), (GRID, 2), (GRID, 3)])
def test_samplers_give_each_arm_its_trials(
    sampler: str, entries: dict[str, str], trials: int, tuned: Tuned, search: Search
) -> None:
    _, trained = search(tuned(entries, trials, sampler=sampler), opposite)
    assert Counter(params["size"] for params in trained) == {3: trials, 5: trials}
    assert len({tuple(sorted(params.items())) for params in trained}) == 2 * trials


def test_tpe_searches_each_arm_where_that_arm_is_good(tuned: Tuned, search: Search) -> None:
    """With all trials together, the arms' opposite values would cancel."""
    _, trained = search(tuned(INTERVAL, 25, sampler="tpe"), opposite)
    late: dict[int, list[float]] = {3: [], 5: []}
    for params in trained[30:]:
        late[params["size"]].append(params["rate"])
    assert sum(late[3]) / len(late[3]) > 0.65
    assert sum(late[5]) / len(late[5]) < 0.35


def test_refused_values_are_replaced_and_an_exhausted_arm_leaves_the_other(
    tuned: Tuned, search: Search
) -> None:
    def refusal(params: Mapping[str, Any]) -> str | None:
        return "too fast" if params["size"] == 3 and params["rate"] > 1 else None

    sweep = tuned(GRID, 3, sampler="tpe", refusal=refusal)
    reason, trained = search(sweep, opposite)
    assert Counter(params["size"] for params in trained) == {3: 1, 5: 3}
    assert reason == "4 of 6 trials are done: each combination has tried all its nuisance values"


def test_an_arm_without_a_complete_trial_has_no_best(tuned: Tuned, search: Search) -> None:
    def half(params: Mapping[str, Any]) -> Outcome:
        return opposite(params) if params["size"] == 3 else Outcome("failed", "run", reason="too large")

    sweep = tuned(GRID, 2, sampler="grid")
    search(sweep, half)
    assert sweep.arms is not None
    assert best_of_arms(sweep.study, sweep.space, sweep.arms) == [{"size": 3, "rate": 2}]


def test_of_equal_trials_the_first_is_the_best(tuned: Tuned, search: Search) -> None:
    sweep = tuned(GRID, 3, sampler="grid", directions=("minimize",))
    search(sweep, lambda params: Outcome("complete", "run", values=(0.5,)))
    assert sweep.arms is not None
    assert [each["rate"] for each in best_of_arms(sweep.study, sweep.space, sweep.arms)] == [1, 1]


def test_retried_and_half_enqueued_trials_count_once(tuned: Tuned, search: Search) -> None:
    """A driver may die after it enqueued an arm, before the sampler suggested anything."""
    sweep = tuned(INTERVAL, 2, sampler="random")
    first = ask(sweep, (), 0.0)
    assert isinstance(first, Proposal)
    fail_and_retry(sweep.study, first.trial.number, blamed=True)
    sweep.study.enqueue_trial({"size": 5})
    _, trained = search(sweep, opposite)
    assert trained[0] == first.params and trained[1]["size"] == 5
    assert Counter(params["size"] for params in trained) == {3: 2, 5: 2}
    counted = [trial for trial in sweep.study.trials if counts(trial)]
    assert len(counted) == 4 and sweep.study.trials[0].user_attrs[LOST]
    assert sweep.study.trials[1].user_attrs[RETRY_OF] == 0
    assert recover(sweep.study) == []


def test_another_driver_sees_what_this_one_has_begun(tuned: Tuned) -> None:
    sweep = tuned(GRID, 3, sampler="grid")
    begun = [ask(sweep, range(number), 0.0) for number in range(7)]
    params = [each.params for each in begun if isinstance(each, Proposal)]
    assert len(params) == 6 and isinstance(begun[6], Ending)


@pytest.mark.parametrize("pruner", [MedianPruner(n_startup_trials=2), SuccessiveHalvingPruner(1, 3)])
def test_pruner_compares_within_an_arm(pruner: Any, tuned: Tuned) -> None:
    """An arm whose values are all lower loses no trial to the other arm's."""
    sweep = tuned(INTERVAL, 8, sampler="random")
    assert sweep.arms is not None
    study = sweep.study
    study.pruner = ArmPruner(pruner, sweep.arms)
    for step in range(8):
        for size in (3, 5):
            study.enqueue_trial({"size": size})
            trial = study.ask()
            sweep.space.suggest(trial)
            for epoch in range(1, 10):
                trial.report((0.9 if size == 3 else 0.1) + step * 0.001, epoch)
                assert not trial.should_prune()  # each trial is the best of its arm so far
            study.tell(trial, 0.9 if size == 3 else 0.1)


def test_suggestions_leave_the_compared_axes_alone(tuned: Tuned, search: Search) -> None:
    sweep = tuned({"size": "3,5", "rate": "interval(0.0,1.0)", "momentum": "interval(0.0,1.0)"}, 4)
    search(sweep, opposite)
    assert sweep.arms is not None
    cmaes = ArmSampler(build_sampler(sweep.sampler, 8), sweep.arms)
    trial = sweep.study.get_trials(deepcopy=False)[0]
    assert "size" not in cmaes.infer_relative_search_space(sweep.study, trial)
    assert trial.state is TrialState.COMPLETE


def test_an_arm_with_fewer_values_gets_fewer_trials(tuned: Tuned, search: Search) -> None:
    sweep = tuned(GRID, 3, sampler="grid")
    assert sweep.arms is not None
    uneven = replace(sweep, total=4, arms=replace(sweep.arms, trials=(1, 3)))
    reason, trained = search(uneven, opposite)
    assert (reason, Counter(params["size"] for params in trained)) == ("all 4 trials are done", {3: 1, 5: 3})


def test_an_arm_whose_interval_does_not_apply_is_tried_once(tuned: Tuned, search: Search) -> None:
    """It is whole after one trial, without a rejected suggestion, though the space is infinite."""
    entries = {"size": "3,5", "rate": {"range": "interval(0.0,1.0)", "when": {"size": 5}}}
    sweep = tuned(entries, 4, sampler="random")
    _, trained = search(sweep, number)
    assert Counter(params["size"] for params in trained) == {3: 1, 5: 4}
    assert len(sweep.study.trials) == 5


def test_a_narrow_part_of_an_interval_is_found_by_random_draws(tuned: Tuned, search: Search) -> None:
    """Constraints refuse nearly all suggestions of the sampler."""

    def refusal(params: Mapping[str, Any]) -> str | None:
        return "too slow" if params["rate"] < 0.97 else None

    sweep = tuned(INTERVAL, 2, sampler="tpe", refusal=refusal)
    reason, trained = search(sweep, opposite)
    assert (reason, Counter(params["size"] for params in trained)) == ("all 4 trials are done", {3: 2, 5: 2})


def test_tunings_of_a_combination_search_the_same_values(tuned: Tuned, search: Search) -> None:
    """A seed tells them apart: one tuning's trials are no repetition of another's."""
    listed = tuple({"size": size, "training.seed": seed} for size in (3, 5) for seed in (7, 8))
    arms = Arms(frozenset({"size", "training.seed"}), listed, (3,) * 4)
    sweep = replace(tuned({**GRID, "training.seed": "range(7,9)"}, 6, sampler="grid"), arms=arms)

    def train(params: Mapping[str, Any]) -> Outcome:
        best = 2 if params["training.seed"] == 7 else 3
        return Outcome("complete", "run", values=(-abs(params["rate"] - best),))

    _, trained = search(sweep, train)
    assert Counter((params["size"], params["training.seed"]) for params in trained) == {
        (size, seed): 3 for size in (3, 5) for seed in (7, 8)
    }
    best = best_of_arms(sweep.study, sweep.space, arms)
    assert arms.by_combination(best) == [
        ({"size": size}, [{"size": size, "training.seed": seed, "rate": seed - 5} for seed in (7, 8)])
        for size in (3, 5)
    ]
