"""Tells whether a network fits an image, by arithmetic alone."""

from kerasweep.config.model import ModelConf
from kerasweep.errors import ConfigError


def check_shape(model: ModelConf, input_shape: tuple[int, ...]) -> None:
    """Raise ConfigError where the network cannot take such images.

    input_shape: one image, (height, width, channels). Every block halves the image, so its
    shorter side needs 2 pixels to the power of the blocks; without padding (valid) a convolution
    takes kernel_size - 1 pixels more. A custom network is held to three axes only.
    """
    _check_axes(tuple(input_shape))
    if model.architecture == "custom":
        return
    height, width, _ = input_shape
    _check_halvings(model, height, width)
    if model.padding == "valid":
        _check_borders(model, height, width)


def _check_axes(input_shape: tuple[int, ...]) -> None:
    if len(input_shape) == 3 and min(input_shape) >= 1:
        return
    raise ConfigError(
        "A network reads 4-D input (n, height, width, channels), so one image has the shape "
        f"(height, width, channels), but got {input_shape}. Give grey images their channel axis with "
        "images[..., None], and one image its batch axis with image[None]."
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
    """Follow the shorter side through convolutions that lose their border, and what halves it."""
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
    """As it is typed on the command line, without spaces."""
    return f"[{','.join(map(str, numbers))}]"
