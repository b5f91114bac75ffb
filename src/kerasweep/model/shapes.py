"""Follows an image's shape through a network by arithmetic: whether it fits, and how many parameters result.

Nothing here imports Keras: a sweep need not build what it refuses.
"""

from typing import Any

from kerasweep.config.backbones import least_pixels
from kerasweep.config.model import BackboneConf, ModelConf, NormalizationConf
from kerasweep.errors import ConfigError


def check_shape(model: Any, input_shape: tuple[int, ...]) -> None:
    """Checks that the network accepts such images.

    Every block halves the image, so its shorter side needs 2 ** blocks pixels; without padding
    (valid) a convolution takes kernel_size - 1 pixels more.

    Args:
        model: A ModelConf or a BackboneConf. For a custom network only the number of axes is checked.
        input_shape: The shape of one image, (height, width, channels).

    Raises:
        ConfigError: The shape has not three axes, the image is too small, or a backbone has no use for its
            channels.
    """
    _check_axes(tuple(input_shape))
    if model.architecture == "custom":
        return
    if model.architecture == "backbone":
        _check_backbone(model, input_shape)
        return
    height, width, _ = input_shape
    _check_halvings(model, height, width)
    if model.padding == "valid":
        _check_borders(model, height, width)


def count_parameters(model: ModelConf, input_shape: tuple[int, int, int], num_classes: int) -> int:
    """Counts the numbers in the saved network, moving statistics included; not for custom networks.

    Args:
        model: The architecture.
        input_shape: The shape of one image, (height, width, channels).
        num_classes: The units of the output layer.
    """
    height, width, channels = input_shape
    total = 0
    for filters in model.filters:
        for conv in range(1, model.convs_per_block + 1):
            total += _convolution(model, channels, filters)
            is_strided = model.downsampling == "stride" and conv == model.convs_per_block
            height, width = (_side(model, side, is_strided) for side in (height, width))
            channels = filters
        if model.downsampling != "stride":
            height, width = height // 2, width // 2
    inputs = channels if model.head == "global_average" else height * width * channels
    for units in [*model.dense_units, num_classes]:
        total += inputs * units + units
        inputs = units
    return total


def _check_axes(input_shape: tuple[int, ...]) -> None:
    if len(input_shape) == 3 and min(input_shape) >= 1:
        return
    raise ConfigError(
        "A network reads 4-D input (n, height, width, channels), so one image has the shape "
        f"(height, width, channels), but got {input_shape}. Give grey images their channel axis with "
        "images[..., None], and one image its batch axis with image[None]."
    )


def _check_backbone(model: BackboneConf, input_shape: tuple[int, ...]) -> None:
    height, width, channels = input_shape
    if channels not in (1, 3):
        raise ConfigError(
            f"model=backbone reads grey images or RGB, 1 or 3 channels, but the images have {channels}. "
            "Use data with 1 or 3 channels, or another model."
        )
    least = least_pixels(model.backbone)
    if model.image_size is None and min(height, width) < least:
        raise ConfigError(
            f"model.backbone={model.backbone} needs images of at least {least} pixels a side, but these are "
            f"{height}x{width}. Let the graph enlarge them, as in model.image_size=[{least},{least}]."
        )


def _check_halvings(model: ModelConf, height: int, width: int) -> None:
    blocks, side = len(model.filters), min(height, width)
    if 2**blocks <= side:
        return
    # side.bit_length() - 1 is the largest power of 2 that fits.
    fitting = list(model.filters)[: side.bit_length() - 1]
    advice = f"Use fewer blocks, as in model.filters={_compact(fitting)}" if fitting else "Use larger images"
    raise ConfigError(
        f"model.filters={_compact(list(model.filters))} halves the image {blocks} times, which needs "
        f"{2**blocks} pixels a side, but the images are {height}x{width}. {advice}."
    )


def _check_borders(model: ModelConf, height: int, width: int) -> None:
    """Follows the shorter side through unpadded convolutions and downsampling."""
    side = min(height, width)
    for block in range(1, len(model.filters) + 1):
        for conv in range(1, model.convs_per_block + 1):
            _check_fits(f"block{block}_conv{conv}", model.kernel_size, side, (height, width))
            is_strided = model.downsampling == "stride" and conv == model.convs_per_block
            side = (side - model.kernel_size) // (2 if is_strided else 1) + 1
        if model.downsampling != "stride":
            _check_fits(f"block{block}_pool", 2, side, (height, width))
            side //= 2


def _check_fits(layer: str, needed: int, side: int, image: tuple[int, int]) -> None:
    if needed <= side:
        return
    raise ConfigError(
        f"{layer} needs {needed} pixels a side, but with model.padding=valid only {side} of the "
        f"{image[0]}x{image[1]} image is left there. Use model.padding=same, a smaller "
        "model.kernel_size, or fewer blocks in model.filters."
    )


def _compact(numbers: list[int]) -> str:
    """Formats as on the command line, without spaces."""
    return f"[{','.join(map(str, numbers))}]"


def _side(model: ModelConf, side: int, is_strided: bool) -> int:
    """Returns the pixels of a side after a convolution."""
    if model.padding == "valid":
        return (side - model.kernel_size) // (2 if is_strided else 1) + 1
    return -(-side // 2) if is_strided else side


def _convolution(model: ModelConf, channels: int, filters: int) -> int:
    weights = model.kernel_size**2 * channels * filters
    return weights + _bias_and_normalization(model.normalization, filters)


def _bias_and_normalization(normalization: NormalizationConf, filters: int) -> int:
    """Counts the bias, which an offset that follows at once replaces, scale, offset and two statistics."""
    if normalization.kind == "none":
        return filters
    has_bias = normalization.position != "before_activation" or not normalization.center
    return filters * (int(has_bias) + int(normalization.scale) + int(normalization.center) + 2)
