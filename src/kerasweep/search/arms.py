"""Searches nuisance axes for each arm: a combination of the compared axes, in one of its tunings.

The arms share one Optuna study, so that workers stay busy across arms. A sampler and a pruner see only the
trials of one arm: values of another arm say nothing about the best nuisance values of this one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.results import DECIMALS, sign_of
from kerasweep.search.ledger import clean_params, counts
from kerasweep.search.study_view import StudyView, ViewSampler
from kerasweep.space.rows import Params, members_of, params_of
from kerasweep.space.space import Signature, Space, signature


@dataclass(frozen=True)
class Arms:
    """The arms of a tuning."""

    keys: frozenset[str]  # of the axes that are compared, and of the seed, which tells tunings apart
    listed: tuple[Params, ...]  # the values of these axes, by arm
    trials: tuple[int, ...]  # how many each arm gets: conditions may leave some with fewer values

    def of(self, params: Mapping[str, Any]) -> Signature:
        """Returns a hashable name of the arm that a configuration belongs to."""
        return signature({key: value for key, value in params.items() if key in self.keys})

    def of_trial(self, trial: FrozenTrial) -> Signature:
        """Returns the arm of an Optuna trial, which may still be enqueued."""
        recorded = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        return self.of(
            {
                name: member
                for key, value in recorded.items()
                for name, member in params_of(key, value).items()
            }
        )

    def combination(self, params: Mapping[str, Any]) -> Params:
        """Returns the values of the axes that are compared."""
        return {key: value for key, value in params.items() if key in self.keys and key not in REPEATED_KEYS}

    def by_combination(self, configurations: Iterable[Params]) -> list[tuple[Params, list[Params]]]:
        """Returns each combination with those of the configurations that belong to it."""
        members: dict[Signature, list[Params]] = {}
        for params in configurations:
            members.setdefault(signature(self.combination(params)), []).append(params)
        combinations = {
            signature(combination): combination for combination in map(self.combination, self.listed)
        }
        return [(combinations[name], members.get(name, [])) for name in combinations]

    def due(self, trials: Iterable[FrozenTrial]) -> list[Params]:
        """Returns the arm of each trial that is lacking, in rounds: an arm with fewer trials comes first."""
        done = Counter(self.of_trial(trial) for trial in trials if counts(trial))
        pairs = zip(self.listed, self.trials, strict=True)
        rounds = [(number, arm) for arm, most in pairs for number in range(done[self.of(arm)], most)]
        return [arm for _, arm in sorted(rounds, key=lambda pair: pair[0])]


def best_of_arms(study: Study, space: Space, arms: Arms) -> list[Params]:
    """Returns the best complete configuration of each arm, in the order of the arms; an arm may have none."""
    sign = sign_of(study.direction.name.lower())
    best: dict[Signature, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        arm = arms.of_trial(trial)
        held = best.get(arm)
        if held is None or round(sign * (trial.values[0] - held.values[0]), DECIMALS) > 0:
            best[arm] = trial
    names = [arms.of(arm) for arm in arms.listed]
    return [clean_params(space, best[name]) for name in names if name in best]


class ArmSampler(ViewSampler):
    """Wraps a sampler and shows it only the trials of the arm that it suggests for."""

    def __init__(self, sampler: BaseSampler, arms: Arms) -> None:
        super().__init__(sampler)
        self._arms = arms

    def shown(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        return _trials_of_arm(study, trial, self._arms)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = super().infer_relative_search_space(study, trial)
        return {
            key: distribution
            for key, distribution in space.items()
            if self._arms.keys.isdisjoint(members_of(key))
        }


class ArmPruner(BasePruner):
    """Wraps a pruner that compares a trial with the other trials of its arm alone."""

    def __init__(self, pruner: BasePruner, arms: Arms) -> None:
        self._pruner = pruner
        self._arms = arms

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return self._pruner.prune(StudyView(study, _trials_of_arm(study, trial, self._arms)), trial)


def _trials_of_arm(study: Study, trial: FrozenTrial, arms: Arms) -> list[FrozenTrial]:
    arm = arms.of_trial(trial)
    return [trial for trial in study._get_trials(deepcopy=False) if arms.of_trial(trial) == arm]
