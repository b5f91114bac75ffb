"""Builds and checks Optuna's samplers from the config group `sampler`."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
from omegaconf import DictConfig
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    NSGAIISampler,
    QMCSampler,
    TPESampler,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kerasweep.errors import ConfigError
from kerasweep.search.custom import build_custom_sampler
from kerasweep.search.learned_trials import MIN_FOR_CMAES, LearnedTrialsSampler
from kerasweep.search.ledger import is_poor
from kerasweep.search.poor_trials import PoorTrialsSampler
from kerasweep.search.priors import PriorSampler
from kerasweep.space.axis import MAX_LISTABLE
from kerasweep.space.prior import Prior
from kerasweep.space.rows import Params
from kerasweep.space.space import Space, signature

MAX_TRIES = 5
PRIOR_SAMPLERS = ("random", "tpe")


def check_sampler(cfg: DictConfig, space: Space, objectives: int) -> None:
    """Raises ConfigError if the sampler cannot be built, or does not suit the space or the objectives."""
    numeric = [axis.key for axis in space.drawn if axis.is_numeric]
    if cfg.name == "cmaes" and len(numeric) < 2:
        raise ConfigError(
            f"sampler=cmaes needs two numeric axes or more, but this space has {len(numeric)}. "
            "Give ranges or intervals, as in optimizer.learning_rate='tag(log,interval(1e-4,1e-1))', "
            "or use sampler=tpe."
        )
    if cfg.name == "cmaes" and objectives > 1:
        raise ConfigError(
            f"sampler=cmaes follows one objective, but there are {objectives}. Use nsga2 or tpe."
        )
    if cfg.name == "custom":
        build_sampler(cfg, 0)
    endless = [axis.key for axis in space.axes if axis.values() is None]
    if cfg.name == "grid" and endless:
        raise ConfigError(
            f"sampler=grid needs finite axes, but {endless[0]} is an interval. "
            "Use choice(...) or range(...), or another sampler, as in sampler=tpe."
        )
    if cfg.name == "grid" and not space.is_finite:
        raise ConfigError(
            f"sampler=grid takes at most {MAX_LISTABLE:,} configurations, but this space has more. "
            "Narrow an axis, or use another sampler, as in sampler=tpe."
        )
    if space.priors and cfg.name not in PRIOR_SAMPLERS:
        raise ConfigError(
            f"{next(iter(space.priors))} has a prior, but sampler={cfg.name} draws no values from it. "
            "Use sampler=tpe or sampler=random, or leave the prior out."
        )


def derived_seed(seed: int, trials: int) -> int:
    """Returns a seed that no restart repeats: it depends on the number of trials in the study."""
    return int(np.random.SeedSequence([seed, trials]).generate_state(1)[0])


def sample(cfg: DictConfig, space: Space, directions: Sequence[str], count: int) -> list[Params]:
    """Returns at most `count` different configurations that the sampler would try in a new study."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=[StudyDirection[direction.upper()] for direction in directions],
        sampler=build_sampler(cfg, 0, priors=space.priors),
    )
    found: dict[Any, Params] = {}
    for _ in range(MAX_TRIES * count):
        params = space.suggest(study.ask())
        found.setdefault(signature(params), params)
        if len(found) == count:
            break
    return list(found.values())


def drawn(space: Space, seed: int) -> Iterator[Params]:
    """Yields random configurations without end."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=PriorSampler(space.priors, seed))
    while True:
        yield space.suggest(study.ask())


def build_sampler(
    cfg: DictConfig,
    trials: int,
    learned: Collection[FrozenTrial] = (),
    priors: Mapping[str, Prior] = MappingProxyType({}),
) -> BaseSampler:
    """Returns the Optuna sampler of a config; one that learns from results also sees poor trials.

    Args:
        cfg: The config group `sampler`.
        trials: The number of trials in the study. Random, TPE, CMA-ES and NSGA-II derive their seed from it;
            quasi-Monte Carlo keeps its seed, since its sequence continues by itself.
        learned: Trials of other sweeps, which the sampler sees, too. Only TPE, CMA-ES and custom ones can.
        priors: From which random sampling and TPE's start-up draw, by the key of the axis.
    """
    sampler = _own_sampler(cfg, derived_seed(cfg.seed, trials), learned, priors)
    return LearnedTrialsSampler(sampler, learned) if learned else sampler


def _own_sampler(
    cfg: DictConfig, seed: int, learned: Collection[FrozenTrial], priors: Mapping[str, Prior]
) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if cfg.name == "tpe":
            tpe = TPESampler(
                seed=seed,
                n_startup_trials=cfg.n_startup_trials,
                multivariate=cfg.multivariate,
                group=cfg.multivariate,
                constant_liar=True,  # running trials count as poor, so that workers search elsewhere
            )
            tpe._random_sampler = PriorSampler(priors, seed)  # draws the n_startup_trials
            return PoorTrialsSampler(tpe, is_poor, min_complete=0)
        if cfg.name == "qmc":
            return QMCSampler(
                seed=cfg.seed,
                qmc_type=cfg.qmc_type,
                scramble=cfg.scramble,
                warn_asynchronous_seeding=False,
                warn_independent_sampling=False,
            )
        if cfg.name == "cmaes":
            known = [trial for trial in learned if trial.state is TrialState.COMPLETE]
            cmaes = CmaEsSampler(
                seed=seed,
                n_startup_trials=cfg.n_startup_trials,
                warn_independent_sampling=False,
                # Its first generation begins where these are good: Nomura et al. (2021),
                # https://arxiv.org/abs/2012.06932.
                source_trials=known if len(known) >= MIN_FOR_CMAES else None,
            )
            return PoorTrialsSampler(cmaes, is_poor, min_complete=cfg.n_startup_trials)
        if cfg.name == "nsga2":
            nsga2 = NSGAIISampler(seed=seed, population_size=cfg.population_size)
            return PoorTrialsSampler(nsga2, is_poor, min_complete=1)
        if cfg.name == "custom":
            return PoorTrialsSampler(build_custom_sampler(cfg, seed), is_poor, min_complete=1)
    if cfg.name in ("random", "grid"):  # the grid's order is that of its space, see `propose`
        return PriorSampler(priors, seed)
    raise AssertionError(f"sampler {cfg.name} is not built")
