"""Checks the rules that types cannot express: ranges, names, and keys that must agree.

`check(cfg)` runs before any data is read. The rules of a claim are in `multirun/claim_check.py`.
"""

import math
from collections.abc import Mapping
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from kerasweep.config import data, metrics, model, search, training
from kerasweep.config.bounds import between, one_of
from kerasweep.config.check_backbone import check_backbone
from kerasweep.config.check_search import check_search
from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.config.unread_keys import check_keys_are_read, check_kwargs, has_own_function
from kerasweep.errors import ConfigError

PATHS = {
    "image_folder": "a folder with one subfolder per class, as in data.path=photos",
    "hugging_face": "a folder that datasets.save_to_disk wrote, as in data.path=beans",
    "table": "a CSV or Parquet file with paths and labels, as in data.path=labels.csv",
    "npz": "a NumPy archive with images and labels, as in data.path=images.npz",
}


def check(cfg: DictConfig) -> None:
    """Raises ConfigError for the first rule that the configuration of a training breaks."""
    _check_missing(cfg)
    is_users = has_own_function(cfg)
    check_keys_are_read(cfg, trusted=RUN_GROUPS if is_users else ())
    for group, kind in (("data", cfg.data.source), ("model", cfg.model.architecture)):
        check_kwargs(group, cfg[group].kwargs, are_read=is_users or kind in ("custom", "backbone"))
    _check_data(cfg.data)
    _check_augment(cfg)
    _check_model(cfg.model)
    check_backbone(cfg)
    _check_weights(cfg)
    _check_optimizer(cfg.optimizer)
    _check_schedule(cfg.schedule)
    _check_training(cfg.training)
    _check_monitors(cfg)
    check_shared(cfg)


def check_shared(cfg: DictConfig) -> None:
    """Raises ConfigError for the first broken rule of keys that all trials share, as they are no axes."""
    one_of("tracking.models", cfg.tracking.models, search.MODELS)
    check_search(cfg)


def _check_missing(cfg: DictConfig) -> None:
    # `missing_keys` takes 9 ms for a configuration, plain values 2 ms.
    may_miss = _has_missing(OmegaConf.to_container(cfg, resolve=True))
    missing = sorted(OmegaConf.missing_keys(cfg)) if may_miss else []
    if missing:
        raise _no_value(missing[0])
    # OmegaConf merges ??? into a schema's null as null.
    if cfg.data.source in PATHS and cfg.data.path is None:
        raise ConfigError(f"data={cfg.data.source} needs data.path, {PATHS[cfg.data.source]}.")
    if cfg.data.source == "custom" and cfg.data.target is None:
        raise _no_value("data.target")
    if cfg.model.architecture == "custom" and cfg.model.target is None:
        raise _no_value("model.target")


def _has_missing(content: Any) -> bool:
    if isinstance(content, dict):
        return any(map(_has_missing, content.values()))
    if isinstance(content, list):
        return any(map(_has_missing, content))
    return isinstance(content, str) and content == MISSING


def _no_value(key: str) -> ConfigError:
    return ConfigError(f"{key} has no value. Give it one, as in {key}=VALUE.")


def _check_data(cfg: DictConfig) -> None:
    one_of("data.source", cfg.source, data.SOURCES)
    one_of("data.scaling", cfg.scaling, data.SCALINGS)
    one_of("data.labels", cfg.labels, data.LABELS)
    between("data.validation_split", cfg.validation_split, 0, 1, open_low=True, open_high=True)
    between("data.test_split", cfg.test_split, 0, 1, open_low=True, open_high=True)
    between("data.seed", cfg.seed, 0)
    if cfg.split_seed is not None:
        between("data.split_seed", cfg.split_seed, 0)
    if cfg.folds is not None:
        between("data.folds", cfg.folds, 2)
    if cfg.limit is not None:
        between("data.limit", cfg.limit, 2)
    if cfg.image_size is not None and (len(cfg.image_size) != 2 or min(cfg.image_size) < 1):
        raise ConfigError(
            f"data.image_size must be a height and a width, but got {list(cfg.image_size)}. "
            "Write it as in data.image_size=[32,32]."
        )
    if cfg.image_size is not None and cfg.source not in data.IMAGE_FILES:
        raise ConfigError(
            f"data.image_size resizes image files, but data={cfg.source} has one size. Leave it out."
        )
    one_of("data.resize", cfg.resize, data.RESIZES)
    if cfg.resize != "stretch" and cfg.image_size is None:
        raise ConfigError(
            f"data.resize={cfg.resize} needs a size. Add it, as in data.image_size=[64,64], or leave it out."
        )
    if cfg.skip_corrupt and cfg.source not in data.IMAGE_FILES:
        raise ConfigError(
            f"data.skip_corrupt leaves out image files, but data={cfg.source} has none. Leave it out."
        )
    of_table = ("image_column", "label_column", "split_column")
    named = {"table": of_table, "hugging_face": of_table[:2]}.get(cfg.source, ())
    for name in of_table:
        if name not in named and cfg[name] != getattr(data.DataConf, name):
            raise ConfigError(
                f"data.{name} names a column of a table, but data={cfg.source} has none. Leave it out."
            )
    if cfg.target is not None and cfg.source != "custom":
        raise ConfigError(f"data.target is for data=custom, but data.source is {cfg.source}.")


def _check_augment(cfg: DictConfig) -> None:
    augment = cfg.augment
    between("augment.crop_padding", augment.crop_padding, 0)
    between("augment.rotation", augment.rotation, 0, 0.5)
    between("augment.zoom", augment.zoom, 0, 1, open_high=True)
    for field in ("brightness", "contrast", "cutout"):
        between(f"augment.{field}", augment[field], 0, 1)
    between("augment.mixup", augment.mixup, 0, 100)
    if augment.mixup and metrics.is_target(cfg.training.loss) and cfg.data.labels != "one_hot":
        raise ConfigError(
            f"augment.mixup mixes labels, but training.loss={cfg.training.loss} gets numbers of classes. "
            "Add data.labels=one_hot, or leave augment.mixup out."
        )


def _check_model(cfg: DictConfig) -> None:
    one_of("model.architecture", cfg.architecture, model.ARCHITECTURES)
    if cfg.architecture in ("custom", "backbone"):
        return
    if cfg.target is not None:
        raise ConfigError("model.target is for model=custom. Add model=custom, or leave model.target out.")
    if cfg.from_logits:
        raise ConfigError("model.from_logits is for model=custom: the other networks end in a softmax.")
    if not cfg.filters or min(cfg.filters) < 1:
        raise ConfigError(
            f"model.filters needs at least one block of one filter or more, but got {list(cfg.filters)}. "
            "Give one number per block, as in model.filters=[32,64]."
        )
    if any(units < 1 for units in cfg.dense_units):
        raise ConfigError(f"model.dense_units must all be at least 1, but got {list(cfg.dense_units)}.")
    between("model.convs_per_block", cfg.convs_per_block, 1)
    between("model.kernel_size", cfg.kernel_size, 1)
    between("model.dropout", cfg.dropout, 0, 1, open_high=True)
    between("model.dense_dropout", cfg.dense_dropout, 0, 1, open_high=True)
    one_of("model.padding", cfg.padding, ("same", "valid"))
    one_of("model.activation", cfg.activation, model.ACTIVATIONS)
    one_of("model.downsampling", cfg.downsampling, model.DOWNSAMPLINGS)
    one_of("model.head", cfg.head, model.HEADS)
    _check_normalization(cfg.normalization)


def _check_normalization(cfg: DictConfig) -> None:
    one_of("model.normalization.kind", cfg.kind, model.NORMALIZATIONS)
    one_of("model.normalization.position", cfg.position, model.POSITIONS)
    one_of("model.normalization.moving_statistics", cfg.moving_statistics, model.MOVING_STATISTICS)
    between("model.normalization.momentum", cfg.momentum, 0, 1, open_high=True)
    between("model.normalization.epsilon", cfg.epsilon, 0, open_low=True)


def _check_weights(cfg: DictConfig) -> None:
    one_of("initializer.name", cfg.initializer.name, model.INITIALIZERS)
    if cfg.initializer.name == "random_normal":
        between("initializer.stddev", cfg.initializer.stddev, 0, open_low=True)
    regularizer = cfg.regularizer
    one_of("regularizer.name", regularizer.name, model.REGULARIZERS)
    one_of("regularizer.on", regularizer.on, model.REGULARIZED)
    if regularizer.name == "none":
        if regularizer.strength is not None:
            raise ConfigError(
                f"regularizer.strength={regularizer.strength:g} has nothing to act on with regularizer=none. "
                "Choose regularizer=l1, l2 or l1_l2, or leave the strength out."
            )
        return
    if regularizer.strength is None:
        raise ConfigError(f"regularizer={regularizer.name} needs a regularizer.strength, as in 1e-4.")
    between("regularizer.strength", regularizer.strength, 0)


def _check_optimizer(cfg: DictConfig) -> None:
    one_of("optimizer.name", cfg.name, training.OPTIMIZERS)
    if cfg.name == "custom":
        check_kwargs("optimizer", cfg.kwargs, are_read=True)
    between("optimizer.learning_rate", cfg.learning_rate, 0, open_low=True)
    if cfg.clipnorm is not None:
        between("optimizer.clipnorm", cfg.clipnorm, 0, open_low=True)
    for field in ("momentum", "rho", "beta_1", "beta_2"):
        if field in cfg:
            between(f"optimizer.{field}", cfg[field], 0, 1, open_high=field != "momentum")
    if "weight_decay" in cfg:
        between("optimizer.weight_decay", cfg.weight_decay, 0)
    if "nesterov" in cfg and cfg.nesterov and cfg.momentum == 0:
        raise ConfigError(
            "optimizer.nesterov=true needs a momentum, but optimizer.momentum is 0. Set it, as in 0.9."
        )


def _check_schedule(cfg: DictConfig) -> None:
    one_of("schedule.name", cfg.name, training.SCHEDULES)
    if cfg.name == "plateau":
        between("schedule.patience", cfg.patience, 1)
        between("schedule.min_lr", cfg.min_lr, 0)
    if cfg.name in ("plateau", "step"):
        between("schedule.factor", cfg.factor, 0, 1, open_low=True, open_high=True)
    if cfg.name in ("cosine", "warmup_cosine"):
        between("schedule.alpha", cfg.alpha, 0, 1)
    if cfg.name == "warmup_cosine":
        between("schedule.warmup_epochs", cfg.warmup_epochs, 0)
    if cfg.name == "exponential":
        between("schedule.decay_rate", cfg.decay_rate, 0, 1, open_low=True)
    if cfg.name == "step":
        _check_boundaries(list(cfg.boundaries))


def _check_boundaries(boundaries: list[float]) -> None:
    inside = all(0 < boundary < 1 for boundary in boundaries)
    if not boundaries or not inside or sorted(set(boundaries)) != boundaries:
        raise ConfigError(
            "schedule.boundaries must be rising shares of the training between 0 and 1, "
            f"but got {boundaries}. Write them as in schedule.boundaries=[0.5,0.75]."
        )


def _check_monitors(cfg: DictConfig) -> None:
    """A metric of the user's has a direction only as an objective."""
    objectives = [objective.metric for objective in cfg.objective if metrics.is_of_epoch(objective.metric)]
    known = dict.fromkeys((*metrics.EPOCH_METRICS, *metrics.ASKED_METRICS, *objectives))
    for key, metric in metrics.monitors(cfg).items():
        one_of(key, metric, known)


def _check_loss(cfg: DictConfig) -> None:
    if not metrics.is_target(cfg.loss):
        one_of("training.loss", cfg.loss, (*training.LOSSES, "package.module:function"))
    between("training.label_smoothing", cfg.label_smoothing, 0, 1, open_high=True)
    if cfg.label_smoothing and metrics.is_target(cfg.loss):
        raise ConfigError(
            f"training.label_smoothing is for Keras's losses, but training.loss is {cfg.loss}. "
            "Smooth there, or leave it out."
        )
    weights = OmegaConf.to_container(cfg)["class_weight"]  # type: ignore[call-overload,index]
    if weights is None or weights == training.BALANCED:
        return
    numbers = list(weights.values()) if isinstance(weights, Mapping) else [None]
    if not numbers or not all(
        isinstance(number, (int, float)) and 0 <= number < math.inf for number in numbers
    ):
        raise ConfigError(
            "training.class_weight must be balanced, or give classes numbers of at least 0, but got "
            f"{weights}. Write it as in training.class_weight={{0:1,1:2.5}}."
        )


def _check_training(cfg: DictConfig) -> None:
    between("training.epochs", cfg.epochs, 1)
    between("training.batch_size", cfg.batch_size, 1)
    between("training.seed", cfg.seed, 0, 2**32, open_high=True)
    one_of("training.precision", cfg.precision, training.PRECISIONS)
    _check_loss(cfg)
    for name in cfg.metrics:
        if not metrics.is_target(name):
            one_of("training.metrics", name, metrics.NAMES)
    for name in cfg.callbacks:
        if not metrics.is_target(name):
            raise ConfigError(
                f"training.callbacks names functions as package.module:function, but got {name}. "
                "The function is called without arguments and returns a keras.callbacks.Callback."
            )
    between("training.early_stopping.patience", cfg.early_stopping.patience, 0)
    between("training.early_stopping.min_delta", cfg.early_stopping.min_delta, 0)
