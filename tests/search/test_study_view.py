"""A sampler sees other trials than those of its study."""

import optuna
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from kerasweep.search.study_view import ViewSampler


class Viewing(ViewSampler):
    """Shows no trial, and notes for which trials it is asked."""

    def __init__(self) -> None:
        super().__init__(RandomSampler(0))
        self.asked: list[int] = []

    def shown(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        self.asked.append(trial.number)
        return []


def test_all_suggestions_of_a_trial_share_a_view() -> None:
    sampler = Viewing()
    study = optuna.create_study(sampler=sampler)
    for expected in ([0], [0, 1]):
        trial = study.ask()
        for name in "abc":
            trial.suggest_float(name, 0, 1)
        assert sampler.asked == expected


def test_the_end_of_a_trial_has_a_view_of_its_own() -> None:
    """The trial has ended since its values were suggested."""
    sampler = Viewing()
    study = optuna.create_study(sampler=sampler)
    trial = study.ask()
    trial.suggest_float("a", 0, 1)
    study.tell(trial, 0.5)
    assert sampler.asked == [0, 0]
