"""Schemas of the groups `data` and `augment`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

SOURCES = (
    "digits",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "mnist",
    "image_folder",
    "npz",
    "custom",
)
SCALINGS = ("none", "min_max", "z_score")
LABELS = ("sparse", "one_hot")


def open_mapping() -> Any:
    """Returns an empty mapping that accepts any key from the command line without a `+`."""
    return DictConfig({}, flags={"struct": False})


@dataclass
class DataConf:
    source: str = MISSING
    path: str | None = None
    limit: int | None = None
    test_split: float = 0.2
    validation_split: float = 0.2
    seed: int = 0
    scaling: str = "min_max"
    labels: str = "sparse"
    image_size: list[int] | None = None
    cache_dir: str | None = None
    target: str | None = None
    kwargs: Any = field(default_factory=open_mapping)


@dataclass
class AugmentConf:
    horizontal_flip: bool = False
    crop_padding: int = 0
