"""What a configuration looks like in MLflow: its params and its tags."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.keys import RUN_GROUPS
from kerasweep.tracking.names import flatten, tag_text


def run_params(cfg: DictConfig) -> dict[str, str]:
    """What defines a run, flattened to dotted keys."""
    groups = OmegaConf.masked_copy(cfg, list(RUN_GROUPS))
    content = OmegaConf.to_container(groups, resolve=True)
    assert isinstance(content, dict)
    return flatten({str(key): value for key, value in content.items()})


def run_tags(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, str]:
    """The tags that every run has, swept or not.

    choices: the chosen option of each config group; a group's own `name` stands in for it. A
    custom network has no kernel size or normalization that is known.
    """
    tags = {
        "dataset": choices.get("data", cfg.data.source),
        "model": choices.get("model", cfg.model.architecture),
        "batch_size": tag_text(cfg.training.batch_size),
        "regularizer": choices.get("regularizer", cfg.regularizer.name),
        "initializer": choices.get("initializer", cfg.initializer.name),
        "optimizer": choices.get("optimizer", cfg.optimizer.name),
        "schedule": choices.get("schedule", cfg.schedule.name),
    }
    if cfg.model.architecture == "custom":
        return tags
    own = {"kernel_size": tag_text(cfg.model.kernel_size), "normalization": cfg.model.normalization.kind}
    return tags | own


def trial_tags(
    cfg: DictConfig, choices: Mapping[str, str], params: Mapping[str, Any], short_names: Mapping[str, str]
) -> dict[str, str]:
    """The tags of a trial that tell what it is: the user's, those of every run, and its axes' values."""
    return {**user_tags(cfg), **run_tags(cfg, choices), **axis_tags(params, short_names)}


def axis_tags(params: Mapping[str, Any], short_names: Mapping[str, str]) -> dict[str, str]:
    """The values of a trial's axes. short_names: an axis's key -> its tag."""
    return {short_names[key]: tag_text(value) for key, value in params.items()}


def objective_text(cfg: DictConfig) -> str:
    """The objectives as their tag has them: `val_accuracy maximize`, several joined by commas."""
    return ", ".join(f"{objective.metric} {objective.direction}" for objective in cfg.objective)


def user_tags(cfg: DictConfig) -> dict[str, str]:
    """The tags that the user asked for with tracking.tags."""
    content = OmegaConf.to_container(cfg.tracking.tags, resolve=True)
    assert isinstance(content, dict)
    return flatten({str(key): value for key, value in content.items()})
