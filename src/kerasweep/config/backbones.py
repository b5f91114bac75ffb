"""Lists the backbones of keras.applications by their snake-case names, and knows those of KerasHub."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

# Before a preset of KerasHub: its name, a handle as hf://USER/NAME, or a folder.
HUB = "hub:"

# The least pixels a side. A test compares the table with the installed Keras.
BACKBONES: Mapping[str, int] = {
    "convnext_base": 32,
    "convnext_large": 32,
    "convnext_small": 32,
    "convnext_tiny": 32,
    "convnext_xlarge": 32,
    "densenet121": 32,
    "densenet169": 32,
    "densenet201": 32,
    "efficientnet_b0": 32,
    "efficientnet_b1": 32,
    "efficientnet_b2": 32,
    "efficientnet_b3": 32,
    "efficientnet_b4": 32,
    "efficientnet_b5": 32,
    "efficientnet_b6": 32,
    "efficientnet_b7": 32,
    "efficientnet_v2_b0": 32,
    "efficientnet_v2_b1": 32,
    "efficientnet_v2_b2": 32,
    "efficientnet_v2_b3": 32,
    "efficientnet_v2_l": 32,
    "efficientnet_v2_m": 32,
    "efficientnet_v2_s": 32,
    "inception_resnet_v2": 75,
    "inception_v3": 75,
    "mobilenet": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_large": 32,
    "mobilenet_v3_small": 32,
    "nasnet_large": 32,
    "nasnet_mobile": 32,
    "resnet101": 32,
    "resnet101_v2": 32,
    "resnet152": 32,
    "resnet152_v2": 32,
    "resnet50": 32,
    "resnet50_v2": 32,
    "vgg16": 32,
    "vgg19": 32,
    "xception": 71,
}
# Arguments of the constructors that kerasweep sets.
RESERVED = (
    "classes",
    "classifier_activation",
    "include_preprocessing",
    "include_top",
    "input_shape",
    "input_tensor",
    "name",
    "pooling",
    "weights",
)
HUB_RESERVED = ("image_shape", "load_weights", "name", "preset")


def least_pixels(backbone: str) -> int:
    """Returns the least pixels a side; 1 for KerasHub, whose networks say themselves what is too small."""
    return 1 if backbone.startswith(HUB) else BACKBONES[backbone]


def preset_of(backbone: str) -> str:
    """Returns the preset of a backbone of KerasHub."""
    return backbone.removeprefix(HUB)


def is_of_hub(backbone: object) -> bool:
    """Whether the key model.backbone names a preset of KerasHub."""
    return isinstance(backbone, str) and backbone.startswith(HUB)


def hub_packages(model: DictConfig) -> tuple[str, ...]:
    """Returns the package that builds a preset of KerasHub; none for other networks of a group `model`."""
    return ("keras-hub",) if is_of_hub(OmegaConf.select(model, "backbone")) else ()


def preset_folder(backbone: object) -> Path | None:
    """Returns the folder of a preset that the user has saved; None for others and for keras.applications."""
    if not is_of_hub(backbone):
        return None
    folder = Path(preset_of(str(backbone))).expanduser()
    return folder if folder.is_dir() else None
