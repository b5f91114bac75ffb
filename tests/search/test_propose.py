"""Each proposal is allowed and new, other suggestions become no trials, and a finite space is tried whole."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from optuna.trial import TrialState

from kerasweep.results import Outcome
from kerasweep.search.ledger import REJECTED, counts, fail_and_retry, settle
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.propose import NothingLeft, propose
from kerasweep.search.samplers import build_sampler
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.search.tally import tally_of
from kerasweep.space.rows import Params
from kerasweep.terminal import redirect_lines

SPACE = {"a": "1,2,3", "b": "true,false"}


def next_of(sweep: Sweep) -> Proposal | NothingLeft:
    sweep.study.sampler = build_sampler(sweep.sampler, len(sweep.study.trials))
    in_order = sweep.sampler.name == "grid"
    return propose(
        sweep.study, tally_of(sweep.study, sweep.space), sweep.refusal, sweep.sampler.seed, in_order
    )


def all_of(sweep: Sweep) -> tuple[list[Params], str]:
    """Returns all proposals, each completed before the next, and the reason why they ended."""
    found = []
    while isinstance(proposal := next_of(sweep), Proposal):
        found.append(proposal.params)
        settle(sweep.study, proposal.trial, Outcome("complete", "run", (float(len(found)),)))
    return found, proposal.reason


def no_odd_pairs(params: Mapping[str, Any]) -> str | None:
    return "odd and true do not go together" if params["a"] % 2 and params["b"] else None


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "nsga2", "qmc"])
def test_finite_space_is_tried_completely_without_repetition(
    sampler: str, sweep_of: Callable[..., Sweep]
) -> None:
    sweep = sweep_of(SPACE, sampler=sampler)
    found, reason = all_of(sweep)
    assert len(found) == 6
    assert all(params in found for params in sweep.space.configurations())
    assert reason == "all 6 configurations have been tried"


def test_grid_is_tried_in_order(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE, sampler="grid")
    assert all_of(sweep)[0] == list(sweep.space.configurations())
    assert len(sweep.study.trials) == 6


def test_running_configurations_are_not_proposed_again(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    proposals = [next_of(sweep) for _ in range(7)]
    params = [proposal.params for proposal in proposals if isinstance(proposal, Proposal)]
    assert len(params) == 6 and all(one in params for one in sweep.space.configurations())
    assert proposals[-1] == NothingLeft("all 6 configurations have been tried")


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "nsga2"])
def test_suggestion_that_is_not_trained_leaves_no_trial_behind(
    sampler: str, sweep_of: Callable[..., Sweep]
) -> None:
    sweep = sweep_of(SPACE, sampler=sampler, refusal=no_odd_pairs)
    found, _ = all_of(sweep)
    assert [trial.params for trial in sweep.study.trials] == found
    assert {trial.state for trial in sweep.study.trials} == {TrialState.COMPLETE}


def test_rejected_trials_of_an_older_version_do_not_count(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "1,2"}, sampler="tpe")
    rejected = sweep.study.ask()
    sweep.space.suggest(rejected)
    rejected.set_user_attr(REJECTED, "it was tried already")
    sweep.study.tell(rejected, state=TrialState.FAIL)
    assert len(all_of(sweep)[0]) == 2
    assert sum(counts(trial) for trial in sweep.study.trials) == 2


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_refusal_is_respected(sampler: str, sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE, sampler=sampler, refusal=no_odd_pairs)
    found, reason = all_of(sweep)
    assert len(found) == 4
    assert all(no_odd_pairs(params) is None for params in found)
    assert reason == "all 4 configurations have been tried"


def test_refused_infinite_space_ends_with_the_last_reason(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "interval(0.0,1.0)"}, refusal=lambda params: "too deep for 8x8.")
    assert next_of(sweep) == NothingLeft(
        "20 suggestions and 1,000 random draws in a row were refused or tried already; "
        "the last reason: too deep for 8x8"
    )
    assert sweep.study.trials == []


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes"])
def test_narrow_constraint_does_not_end_the_search_of_an_infinite_space(
    sampler: str, sweep_of: Callable[..., Sweep]
) -> None:
    def refusal(params: Mapping[str, Any]) -> str | None:
        return None if params["a"] < 0.02 else "a is too large"

    sweep = sweep_of({"a": "interval(0.0,1.0)", "b": "range(3)"}, sampler=sampler, refusal=refusal)
    for _ in range(5):
        proposal = next_of(sweep)
        assert isinstance(proposal, Proposal) and proposal.params["a"] < 0.02
        settle(sweep.study, proposal.trial, Outcome("complete", "run", (0.5,)))


def test_enqueued_trial_comes_first_even_in_a_grid(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE, sampler="grid")
    sweep.study.enqueue_trial({"a": 3, "b": False})
    proposal = next_of(sweep)
    assert isinstance(proposal, Proposal) and proposal.params == {"a": 3, "b": False}
    settle(sweep.study, proposal.trial, Outcome("complete", "run", (0.5,)))
    assert all_of(sweep)[0] == [
        params for params in sweep.space.configurations() if params != proposal.params
    ]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"a": 4, "x": 0.5}, "a has no value 4. Enqueue one of its values: 1, 2"),
        ({"a": "2", "x": 0.5}, "a has no value '2'. Enqueue one of its values: 1, 2"),
        ({"a": 2, "x": 7.0}, "x has no value 7.0. Enqueue one of its values: 0 … 1"),
        ({"a": 2, "x": "half"}, "x has no value 'half'. Enqueue one of its values: 0 … 1"),
        ({"b": 2}, "b is no axis of this sweep. Enqueue values of a, x"),
    ],
)
def test_enqueued_value_outside_the_space_is_rejected_with_a_sentence(
    params: Params, reason: str, sweep_of: Callable[..., Sweep]
) -> None:
    sweep = sweep_of({"a": "1,2", "x": "interval(0.0,1.0)"})
    sweep.study.enqueue_trial(params)
    said: list[str] = []
    with redirect_lines(said.append):
        proposal = next_of(sweep)
    assert isinstance(proposal, Proposal) and proposal.trial.number == 1
    rejected, _ = sweep.study.trials
    assert rejected.state is TrialState.FAIL and rejected.user_attrs[REJECTED] == reason
    assert said == [f"note: trial 0, which was enqueued, is not trained: {reason}."]


def test_enqueued_configuration_that_was_tried_is_said(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "1,2"}, sampler="grid")
    first = next_of(sweep)
    assert isinstance(first, Proposal)
    sweep.study.enqueue_trial(first.params)
    said: list[str] = []
    with redirect_lines(said.append):
        second = next_of(sweep)
    assert isinstance(second, Proposal) and second.params == {"a": 2}
    assert said == ["note: trial 1, which was enqueued, is not trained: it was tried already."]


def test_lost_configuration_is_proposed_again(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE, sampler="grid")
    first = next_of(sweep)
    assert isinstance(first, Proposal)
    fail_and_retry(sweep.study, first.trial.number, blamed=False)
    found, reason = all_of(sweep)
    assert found == list(sweep.space.configurations())
    assert reason == "all 6 configurations have been tried"


def test_failed_configuration_is_not_proposed_again(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE, sampler="grid")
    first = next_of(sweep)
    assert isinstance(first, Proposal)
    settle(sweep.study, first.trial, Outcome("failed", "run", reason="no"))
    assert first.params not in all_of(sweep)[0]


def test_proposal_belongs_to_this_process(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(SPACE)
    assert isinstance(next_of(sweep), Proposal)
    assert sweep.study.trials[-1].user_attrs[OWNER] == this_owner()


def test_inactive_axis_makes_no_second_configuration(sweep_of: Callable[..., Sweep]) -> None:
    space = {"regularizer": "none,l1", "s": {"range": "1,2", "when": {"regularizer": "l1"}}}
    found, _ = all_of(sweep_of(space, sampler="tpe"))
    assert len(found) == 3 and {"regularizer": "none"} in found
