"""Tells whether a network fits an image, by arithmetic alone."""

from src.config.model import ModelConf
from src.errors import ConfigError


def check_shape(model: ModelConf, input_shape: tuple[int, ...]) -> None:
    """Raise ConfigError where a block would leave no pixel of the image.

    input_shape: (height, width, channels), one image without its batch axis.
    """
    if len(input_shape) != 3:
        raise ConfigError(
            f"A network takes images (height, width, channels), but got the shape {tuple(input_shape)}. "
            "Convolutions read 4-D batches (n, height, width, channels): give one image its batch axis "
            "with images[np.newaxis]."
        )
    if model.architecture == "custom":
        return
    sides = [int(input_shape[0]), int(input_shape[1])]
    for block in range(1, len(model.filters) + 1):
        sides = [_after_block(side, model) for side in sides]
        if min(sides) < 1:
            raise ConfigError(
                f"model.filters has {len(model.filters)} blocks, but an image of {input_shape[0]}x{input_shape[1]} "
                f"pixels has none left after block {block}. Use fewer blocks, "
                f"as in model.filters={list(model.filters)[: max(block - 1, 1)]}, or larger images."
            )


def _after_block(side: int, model: ModelConf) -> int:
    """The pixels of a side that one block leaves; below 1 where it does not fit."""
    for layer in range(1, model.convs_per_block + 1):
        stride = 2 if model.downsampling == "stride" and layer == model.convs_per_block else 1
        if model.padding == "valid":
            side = (side - model.kernel_size) // stride + 1
        elif stride == 2 and side < 2:
            return 0
        else:
            side = -(-side // stride)
        if side < 1:
            return 0
    return side if model.downsampling == "stride" else side // 2
