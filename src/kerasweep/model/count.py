"""Counts a network's parameters by arithmetic alone, so that a sweep need not build what it refuses."""

from kerasweep.config.model import ModelConf, NormalizationConf


def count_parameters(model: ModelConf, input_shape: tuple[int, int, int], num_classes: int) -> int:
    """How many numbers the saved network holds, moving statistics among them.

    input_shape: one image, (height, width, channels). Not for custom networks.
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


def _side(model: ModelConf, side: int, is_strided: bool) -> int:
    """What is left of a side after a convolution."""
    if model.padding == "valid":
        return (side - model.kernel_size) // (2 if is_strided else 1) + 1
    return -(-side // 2) if is_strided else side


def _convolution(model: ModelConf, channels: int, filters: int) -> int:
    weights = model.kernel_size**2 * channels * filters
    return weights + _bias_and_normalization(model.normalization, filters)


def _bias_and_normalization(normalization: NormalizationConf, filters: int) -> int:
    """A bias where no offset of a normalization follows at once; scale, offset and two moving statistics."""
    if normalization.kind == "none":
        return filters
    has_bias = normalization.position != "before_activation" or not normalization.center
    return filters * (int(has_bias) + int(normalization.scale) + int(normalization.center) + 2)
