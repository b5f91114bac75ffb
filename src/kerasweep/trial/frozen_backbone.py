"""Decides when a frozen backbone's outputs are computed once, and defines what they depend on."""

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.backbones import hub_packages
from kerasweep.data.cache import cache_of
from kerasweep.data.prepare import Prepared
from kerasweep.model.weights import backbone_identity

if TYPE_CHECKING:
    from kerasweep.training.features import FrozenBackbone


def trains_on_features(cfg: DictConfig) -> bool:
    """Whether the outputs of a frozen backbone are computed once; augmented images differ each time."""
    is_frozen = cfg.model.architecture == "backbone" and cfg.model.trainable is False
    is_augmented = any(cfg.augment.values())
    unfreezes = cfg.training.unfreeze_at is not None
    return is_frozen and bool(cfg.model.cache_features) and not (is_augmented or unfreezes)


def frozen_backbone(cfg: DictConfig, prepared: Prepared) -> "FrozenBackbone":
    """Returns the backbone whose outputs the network reads; they are computed at the first use."""
    from kerasweep.training.features import FrozenBackbone

    def build() -> Any:
        from kerasweep.model.backbone import build_extractor

        seed_random_backbone(cfg)
        return build_extractor(cfg.model, prepared.input_shape)

    return FrozenBackbone(prepared, cache_of(cfg.data), features_key(cfg), build)


def features_key(cfg: DictConfig) -> str:
    """Returns all that the features of an image depend on, as JSON."""
    identity = backbone_identity(cfg.model)
    backbone = [
        OmegaConf.to_container(OmegaConf.masked_copy(cfg.model, ["backbone", "image_size", "kwargs"])),
        f"seed {cfg.training.seed}, {identity}" if cfg.model.weights is None else identity,
        cfg.training.precision,
        *map(version, ("keras", *hub_packages(cfg.model))),
    ]
    return json.dumps(backbone, sort_keys=True)


def seed_random_backbone(cfg: DictConfig) -> None:
    """Seeds the draw of a backbone without given weights."""
    if cfg.model.weights is None:
        from kerasweep.training.runtime import seed_everything

        seed_everything(cfg.training.seed)
