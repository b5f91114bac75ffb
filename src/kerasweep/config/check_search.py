"""Checks the rules of a search: its objective, sampler, pruner, budget and workers."""

import math
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config import metrics, search
from kerasweep.config.bounds import between, one_of
from kerasweep.config.unread_keys import check_kwargs
from kerasweep.errors import ConfigError

MIN_WILCOXON_SEEDS = 4  # of a trial
MAX_NAME_BYTES = 180  # files may have 255 bytes, and Optuna's lock beside a journal adds up to 75
_MIN_VALUES = {
    "sampler.n_startup_trials": 0,
    "sampler.population_size": 2,
    "pruner.n_startup_trials": 0,
    "pruner.n_warmup_steps": 0,
    "pruner.n_startup_steps": 2,
    "pruner.min_resource": 1,
    "pruner.reduction_factor": 2,
    "pruner.patience": 1,
    "pruner.min_delta": 0,
    "study.trials": 1,
    "study.repeats": 1,
    "study.folds": 2,
    "study.nuisance_trials": 1,
    "budget.patience": 1,
    "budget.max_parameters": 1,
    "trial.memory_mb": 1,
    "trial.recycle_mb": 1,
    "trial.gpus": 0,
}
_ABOVE_ZERO = ("budget.hours", "trial.timeout_seconds", "trial.cpus")


def check_search(cfg: DictConfig) -> None:
    """Raises ConfigError for the first rule of a search that the configuration breaks."""
    _check_objective(cfg)
    one_of("sampler.name", cfg.sampler.name, search.SAMPLERS)
    one_of("pruner.name", cfg.pruner.name, search.PRUNERS)
    one_of("study.splits", cfg.study.splits, search.SPLITS)
    one_of("study.tuning", cfg.study.tuning, search.TUNINGS)
    one_of("storage.name", cfg.storage.name, search.STORAGES)
    between("sampler.seed", cfg.sampler.seed, 0, 2**32, open_high=True)
    _check_custom("sampler", cfg.sampler, "optuna.samplers:NSGAIIISampler")
    _check_custom("pruner", cfg.pruner, "optuna.pruners:PercentilePruner")
    if cfg.study.learn_from and cfg.sampler.name not in search.LEARNING_SAMPLERS:
        raise ConfigError(
            "study.learn_from shows the sampler the trials of other sweeps, but "
            f"sampler={cfg.sampler.name} cannot learn from them. Add sampler=tpe, or leave them out."
        )
    if "qmc_type" in cfg.sampler:
        one_of("sampler.qmc_type", cfg.sampler.qmc_type, ("sobol", "halton"))
    if cfg.study.folds is not None and cfg.study.splits == "fixed":
        raise ConfigError(
            "study.folds gives each repeat another validation set, and study.splits=fixed the same one. "
            "Leave one of them out."
        )
    _check_storage(cfg.storage)
    _check_name(cfg.study.name)
    for key, low in {**_MIN_VALUES, **dict.fromkeys(_ABOVE_ZERO, 0)}.items():
        value = OmegaConf.select(cfg, key)
        if value is not None:
            between(key, value, low, open_low=key in _ABOVE_ZERO)
    if cfg.trial.gpus > 1 and cfg.trial.gpus % 1:
        raise ConfigError(f"trial.gpus must be whole above 1, as Ray demands, but got {cfg.trial.gpus}.")
    _check_pruner(cfg)
    _check_workers(cfg.workers)
    several = len(cfg.objective) > 1
    if several and (cfg.budget.target is not None or cfg.budget.patience is not None):
        raise ConfigError(
            "budget.target and budget.patience follow one objective, "
            f"but there are {len(cfg.objective)}. Use budget.hours or study.trials."
        )


def _check_custom(group: str, cfg: DictConfig, example: str) -> None:
    if cfg.name != "custom":
        return
    if OmegaConf.is_missing(cfg, "target"):
        raise ConfigError(f"{group}=custom needs {group}.target, as in {group}.target={example}.")
    check_kwargs(group, cfg.kwargs, are_read=True)


def _check_storage(cfg: DictConfig) -> None:
    if cfg.name != "rdb":
        if cfg.url is not None:
            raise ConfigError("storage.url is for storage=rdb. Add it, or leave storage.url out.")
        return
    if cfg.url is None:
        raise ConfigError("storage=rdb needs storage.url, as in postgresql+psycopg://USER@HOST/DATABASE.")
    backend = cfg.url.partition(":")[0].partition("+")[0]
    one_of("the database of storage.url", backend, search.DATABASES)


def _check_objective(cfg: DictConfig) -> None:
    if not cfg.objective:
        raise ConfigError("objective needs a metric, as in objective=[{metric:val_loss,direction:minimize}].")
    for objective in cfg.objective:
        if not (_has_own_metrics(cfg) and objective.metric.startswith(metrics.VALIDATION)):
            one_of("objective.metric", objective.metric, metrics.METRICS)
        one_of("objective.direction", objective.direction, search.DIRECTIONS)
    named = [objective.metric for objective in cfg.objective]
    if len(set(named)) != len(named):
        raise ConfigError(f"objective names a metric twice: {', '.join(named)}.")


def _has_own_metrics(cfg: DictConfig) -> bool:
    """Whether the user's functions give metrics whose names are known once they are called."""
    return any(map(metrics.is_target, cfg.training.metrics))


def _check_name(name: str | None) -> None:
    if name is not None and not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise ConfigError(
            f"study.name may hold letters, digits, and . _ - inside, 100 at most, but got {name!r}. "
            "Choose one such as filter_size."
        )
    length = len(name.encode()) if name is not None else 0
    if length > MAX_NAME_BYTES:
        raise ConfigError(
            f"study.name is part of file names and may take {MAX_NAME_BYTES} bytes, but {name!r} takes "
            f"{length} as UTF-8. Choose a shorter one, such as filter_size."
        )


def _check_pruner(cfg: DictConfig) -> None:
    pruner, metric = cfg.pruner, cfg.objective[0].metric
    if pruner.name == "none":
        return
    if len(cfg.objective) > 1:
        raise ConfigError(
            f"pruner={pruner.name} compares one value, but there are {len(cfg.objective)} objectives. "
            "Use pruner=none."
        )
    if pruner.name == "wilcoxon":
        _check_wilcoxon(pruner, cfg.study.repeats)
    elif not metrics.is_of_epoch(metric):
        known = (*metrics.EPOCH_METRICS, *metrics.ASKED_METRICS)
        raise ConfigError(
            f"pruner={pruner.name} compares epochs, but {metric} is not measured after each. "
            f"Use pruner=none, or an objective of {', '.join(known)}."
        )
    if pruner.name == "threshold":
        _check_threshold(pruner)


def _check_wilcoxon(pruner: DictConfig, repeats: int) -> None:
    between("pruner.p_threshold", pruner.p_threshold, 0, 1, open_low=True, open_high=True)
    if repeats < MIN_WILCOXON_SEEDS:
        raise ConfigError(
            f"pruner=wilcoxon compares the seeds of a trial, and with study.repeats={repeats} it could "
            f"never decide. Set study.repeats={MIN_WILCOXON_SEEDS} or more, or use a pruner of epochs, "
            "as in pruner=asha."
        )
    steps = pruner.n_startup_steps
    if steps >= repeats:
        raise ConfigError(
            f"pruner=wilcoxon could never decide: it waits for pruner.n_startup_steps={steps} seeds, "
            f"and a stop after the last of study.repeats={repeats} saves nothing. "
            f"Set study.repeats={steps + 1} or more, or fewer steps."
        )
    # The signed-rank test's smallest p-value is 0.5^seeds, and after the last seed nothing is saved.
    smallest = 0.5 ** (repeats - 1)
    if smallest >= pruner.p_threshold:
        enough = math.floor(-math.log2(pruner.p_threshold)) + 2
        raise ConfigError(
            f"pruner=wilcoxon could never decide: before the last of {repeats} seeds its p-value is at least "
            f"{smallest:g}, and pruner.p_threshold is {pruner.p_threshold:g}. "
            f"Set study.repeats={enough} or more, or a larger threshold."
        )


def _check_threshold(pruner: DictConfig) -> None:
    lower, upper = pruner.lower, pruner.upper
    if lower is None and upper is None:
        raise ConfigError(
            "pruner=threshold needs a bound. Set pruner.lower or pruner.upper, as in pruner.lower=0.5."
        )
    if lower is not None and upper is not None and lower >= upper:
        raise ConfigError(f"pruner.lower must be below pruner.upper, but got {lower:g} and {upper:g}.")


def _check_workers(workers: Any) -> None:
    is_count = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1
    if workers != "auto" and not is_count:
        raise ConfigError(f"workers must be auto or a number from 1 up, but got {workers}.")
