"""Draws values from the priors of axes."""

import math
from collections.abc import Mapping
from typing import Any

from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from kerasweep.space.prior import Prior


class PriorSampler(RandomSampler):
    """Draws each value from the prior of its axis, cut at the ends of the range; evenly without a prior.

    Args:
        priors: By the key of the axis.
        seed: Of the draws.
    """

    def __init__(self, priors: Mapping[str, Prior], seed: int) -> None:
        super().__init__(seed)
        self._priors = priors

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        prior = self._priors.get(param_name)
        if prior is None:
            return super().sample_independent(study, trial, param_name, param_distribution)
        from scipy.stats import truncnorm  # takes a while to import

        # Optuna's own transform: natural logarithms, and half a step more at both ends of steps.
        transform = _SearchSpaceTransform({param_name: param_distribution})
        (low, high) = transform.bounds[0]
        (center,) = transform.transform({param_name: prior.center})
        is_log = getattr(param_distribution, "log", False)
        spread = prior.spread * (math.log(10) if is_log else 1.0)
        drawn = truncnorm.rvs(
            (low - center) / spread,
            (high - center) / spread,
            loc=center,
            scale=spread,
            size=1,
            random_state=self._rng.rng,
        )
        return transform.untransform(drawn)[param_name]
