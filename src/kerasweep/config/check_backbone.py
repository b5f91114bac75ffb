"""Checks the rules of `model=backbone`, and of the keys that only it reads."""

from importlib.util import find_spec

from omegaconf import DictConfig

from kerasweep.config import model
from kerasweep.config.backbones import (
    BACKBONES,
    HUB,
    HUB_RESERVED,
    RESERVED,
    least_pixels,
    preset_folder,
    preset_of,
)
from kerasweep.config.bounds import between, one_of
from kerasweep.config.data import DataConf
from kerasweep.config.training import TrainingConf
from kerasweep.errors import ConfigError, suggestion


def check_backbone(cfg: DictConfig) -> None:
    """Raises ConfigError for the first broken rule. cfg: the whole configuration, with any model."""
    if cfg.model.architecture != "backbone":
        _check_unfreezes_nothing(cfg.training)
        return
    _check_constructor(cfg.model)
    _check_trainable(cfg.model.trainable)
    _check_head(cfg.model)
    _check_image_size(cfg.model)
    _check_unfreezing(cfg)
    if cfg.data.scaling != DataConf.scaling:
        raise ConfigError(
            f"data.scaling={cfg.data.scaling} is not read: model=backbone gets pixels 0..255 and has the "
            "preprocessing of its backbone. Leave data.scaling out."
        )
    if cfg.regularizer.name != "none" and cfg.regularizer.on == "conv":
        raise ConfigError(
            "regularizer.on=conv has nothing to act on: with model=backbone the penalty is on the dense "
            "layers. Choose regularizer.on=dense or both."
        )


def _check_constructor(cfg: DictConfig) -> None:
    is_hub = cfg.backbone.startswith(HUB)
    if is_hub:
        _check_preset(cfg.backbone)
    elif cfg.backbone not in BACKBONES:
        known = suggestion(cfg.backbone, BACKBONES, f"It may be {', '.join(BACKBONES)}.")
        raise ConfigError(
            "model.backbone must name a network of keras.applications in snake case, or a preset of KerasHub "
            f"after {HUB}, but got {cfg.backbone}. {known}"
        )
    for name in map(str, cfg.kwargs):
        if name in (HUB_RESERVED if is_hub else RESERVED):
            raise ConfigError(
                f"model.kwargs.{name} is set by kerasweep from the keys of model and data. Leave it out."
            )


def _check_preset(backbone: str) -> None:
    if find_spec("keras_hub") is None:
        raise ConfigError(
            f"model.backbone={backbone} needs KerasHub, which is not installed. Install it, as in "
            "pip install 'kerasweep[hub]'."
        )
    preset = preset_of(backbone)
    is_path = "://" not in preset and preset.startswith((".", "~", "/"))
    if not preset or (is_path and preset_folder(backbone) is None):
        raise ConfigError(
            f"model.backbone must name a preset of KerasHub after {HUB}, as in {HUB}resnet_18_imagenet, "
            f"or its folder, but got {backbone}, which is no folder. Correct the name."
        )


def _check_trainable(trainable: object) -> None:
    is_number = isinstance(trainable, int) and not isinstance(trainable, bool)
    if isinstance(trainable, bool) or (is_number and int(str(trainable)) >= 1):
        return
    raise ConfigError(
        "model.trainable must be false (frozen), true (all layers) or the number of last layers that train, "
        f"but got {trainable}. Write it as in model.trainable=20."
    )


def _check_head(cfg: DictConfig) -> None:
    if any(units < 1 for units in cfg.dense_units):
        raise ConfigError(f"model.dense_units must all be at least 1, but got {list(cfg.dense_units)}.")
    between("model.dropout", cfg.dropout, 0, 1, open_high=True)
    between("model.dense_dropout", cfg.dense_dropout, 0, 1, open_high=True)
    one_of("model.activation", cfg.activation, model.ACTIVATIONS)


def _check_image_size(cfg: DictConfig) -> None:
    least = least_pixels(cfg.backbone)
    if cfg.image_size is None or (len(cfg.image_size) == 2 and min(cfg.image_size) >= least):
        return
    raise ConfigError(
        f"model.image_size must be a height and a width of at least {least} pixels for {cfg.backbone}, "
        f"but got {list(cfg.image_size)}. Write it as in model.image_size=[96,96]."
    )


def _check_unfreezing(cfg: DictConfig) -> None:
    training = cfg.training
    if training.unfreeze_at is None:
        _check_rate_is_read(training)
        return
    between("training.unfreeze_at", training.unfreeze_at, 2)
    between("training.unfreeze_learning_rate", training.unfreeze_learning_rate, 0, open_low=True)
    if training.unfreeze_at > training.epochs:
        raise ConfigError(
            f"training.unfreeze_at={training.unfreeze_at} comes after the last of {training.epochs} epochs, "
            "so the backbone never trains. Lower it, raise training.epochs, or leave it out."
        )
    if cfg.model.trainable is True:
        raise ConfigError(
            "model.trainable=true trains the backbone from the first epoch, so "
            f"training.unfreeze_at={training.unfreeze_at} unfreezes nothing. Use model.trainable=false to "
            "unfreeze all layers then, or a number to unfreeze the last ones."
        )


def _check_unfreezes_nothing(training: DictConfig) -> None:
    if training.unfreeze_at is not None:
        raise ConfigError(
            f"training.unfreeze_at={training.unfreeze_at} is for model=backbone: other networks have no "
            "frozen layers. Add model=backbone, or leave it out."
        )
    _check_rate_is_read(training)


def _check_rate_is_read(training: DictConfig) -> None:
    if training.unfreeze_learning_rate != TrainingConf.unfreeze_learning_rate:
        raise ConfigError(
            f"training.unfreeze_learning_rate={training.unfreeze_learning_rate:g} is not read without "
            "training.unfreeze_at, the epoch from which the backbone trains. Add it, as in "
            "training.unfreeze_at=4."
        )
