"""An outcome that cannot be compared or recorded is refused."""

import math

import pytest

from kerasweep.errors import DivergedError, TrainingError
from kerasweep.multirun.outcome_check import check_outcome
from kerasweep.results import Outcome, TrialRef


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_complete_trial_has_finite_values(value: float) -> None:
    with pytest.raises(DivergedError) as raised:
        check_outcome(Outcome("complete", "run", (0.5, value)), TrialRef("run"), "work:train", 2)
    assert str(raised.value) == (
        f"trial.target=work:train must give a finite value for each of 2 objectives, but gave [0.5, {value}]."
    )


def test_a_pruned_trial_may_have_any_value() -> None:
    outcome = Outcome("pruned", "run", (math.inf,))
    assert check_outcome(outcome, TrialRef("run"), "work:train", 2) == outcome


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_a_wrong_number_of_values_is_no_divergence(value: float) -> None:
    with pytest.raises(TrainingError) as raised:
        check_outcome(Outcome("complete", "run", (value,)), TrialRef("run"), "work:train", 2)
    assert not isinstance(raised.value, DivergedError)


@pytest.mark.parametrize("state", ["complete", "pruned"])
def test_only_a_failed_trial_is_poor(state: str) -> None:
    with pytest.raises(TrainingError) as raised:
        check_outcome(Outcome(state, "run", (0.5,), is_poor=True), TrialRef("run"), "work:train", 1)
    assert str(raised.value) == (
        f"trial.target=work:train returned is_poor=True with the state {state}. "
        "It belongs to failed trials: a complete or pruned one tells the sampler its value."
    )


def test_a_function_may_say_that_its_configuration_is_poor() -> None:
    outcome = Outcome("failed", "run", reason="the reward collapsed", is_poor=True)
    assert check_outcome(outcome, TrialRef("run"), "work:train", 2) == outcome
