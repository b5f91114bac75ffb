"""Counts the diverging trials of a search beside a region in which training diverges."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from omegaconf import OmegaConf
from optuna.trial import TrialState

from benchmarks.calibration.rates import heading, row
from kerasweep.config.search import CmaEsConf, NSGAIIConf, SamplerConf, TPEConf
from kerasweep.search.ledger import RESULT
from kerasweep.search.samplers import build_sampler

TEXT = """
## Diverging trials

The best rate is 0.60, and training diverges above 0.62; {searches} searches of {trials} trials with two axes.
*Failed* counts the trials that diverge, *distance* is that of the best value to the optimum. *Unseen*: the
sampler is not shown the trials that diverge, as Optuna's samplers; *seen*: it is. NSGA-II crosses the best of
its first twelve trials, which keeps it away from the others, seen or not.
"""


@dataclass(frozen=True)
class Searches:
    """The searches of a sampler beside a region in which training diverges."""

    failed: np.ndarray  # trials of each search
    distances: np.ndarray  # of each search's best value to the optimum


CLIFF_TRIALS, CLIFF_SEARCHES, BEST_RATE, CLIFF = 40, 20, 0.6, 0.62
CONFIGS: Mapping[str, SamplerConf] = {
    "TPE": TPEConf("tpe"),
    "CMA-ES": CmaEsConf("cmaes"),
    "NSGA-II": NSGAIIConf("nsga2"),
}


def beside_a_cliff(cfg: SamplerConf, shows_failed: bool) -> Searches:
    """Runs searches with our samplers. shows_failed: whether the sampler is shown the trials that diverge."""
    failed, distances = [], []
    for seed in range(CLIFF_SEARCHES):
        study = optuna.create_study(direction="maximize")
        content = OmegaConf.merge(OmegaConf.structured(cfg), {"seed": seed})
        best = -math.inf
        for number in range(CLIFF_TRIALS):
            study.sampler = build_sampler(content, number)
            trial = study.ask()
            rate, decay = (trial.suggest_float(name, 0, 1) for name in ("rate", "decay"))
            if rate > CLIFF:
                trial.set_user_attr(RESULT, {"is_poor": shows_failed})
                study.tell(trial, state=TrialState.FAIL)
            else:
                value = 1 - (rate - BEST_RATE) ** 2 - decay**2
                study.tell(trial, value)
                best = max(best, value)
        failed.append(sum(each.state is TrialState.FAIL for each in study.trials))
        distances.append(1 - best)
    return Searches(np.array(failed), np.array(distances))


def part(count: int) -> list[str]:
    """Returns the lines of this part of docs/calibration.md."""
    lines = [
        TEXT.format(searches=CLIFF_SEARCHES, trials=CLIFF_TRIALS),
        *heading("sampler", "failed, unseen", "failed, seen", "distance, unseen", "distance, seen"),
    ]
    for name, cfg in CONFIGS.items():
        searches = [beside_a_cliff(cfg, shows_failed) for shows_failed in (False, True)]
        failed = [_mean(each.failed, ".1f") for each in searches]
        lines.append(row([name, *failed, *(_mean(each.distances, ".3f") for each in searches)]))
    return lines


def _mean(values: np.ndarray, form: str) -> str:
    """Returns the mean with its standard error."""
    return f"{values.mean():{form}} ± {values.std(ddof=1) / math.sqrt(len(values)):{form}}"
