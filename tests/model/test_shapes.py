"""A network that is too deep for its images is refused, and parameter counts equal Keras's."""

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from omegaconf import DictConfig

from kerasweep.config.model import (
    DOWNSAMPLINGS,
    InitializerConf,
    ModelConf,
    NormalizationConf,
    RegularizerConf,
)
from kerasweep.errors import ConfigError
from kerasweep.model.network import build_model
from kerasweep.model.parts import AdjustableParts, StockParts
from kerasweep.model.shapes import check_shape, count_parameters
from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data


def cnn(blocks: int, **changes: object) -> ModelConf:
    return ModelConf("cnn", filters=[4, 8, 16, 32][:blocks], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "input_shape"),
    [
        (cnn(1), (2, 2, 1)),
        (cnn(3), (8, 8, 1)),
        (cnn(3), (9, 31, 3)),
        (cnn(3, downsampling="stride"), (8, 8, 1)),
        (cnn(1, kernel_size=9), (2, 2, 1)),
        # Sides 10 -> 8 -> 4 -> 2 -> 1; 8 -> 6 -> 3 -> 1 would leave nothing to pool.
        (cnn(2, padding="valid"), (10, 10, 1)),
        # Sides 11 -> 9 -> 7 -> 3.
        (cnn(1, padding="valid", convs_per_block=2), (11, 6, 1)),
        # Sides 7 -> 3 -> 1.
        (cnn(2, padding="valid", downsampling="stride"), (7, 7, 1)),
        (ModelConf("custom", target="a:b", filters=[1] * 9), (1, 1, 1)),
    ],
)
def test_network_that_fits_is_accepted(model: ModelConf, input_shape: tuple[int, ...]) -> None:
    check_shape(model, input_shape)


@pytest.mark.parametrize(
    ("model", "input_shape", "said"),
    [
        (
            cnn(4),
            (8, 8, 1),
            "model.filters=[4,8,16,32] halves the image 4 times, which needs 16 pixels a side, but the "
            "images are 8x8. Use fewer blocks, as in model.filters=[4,8,16].",
        ),
        (cnn(3), (30, 7, 1), "needs 8 pixels a side, but the images are 30x7. Use fewer blocks, as in"),
        (cnn(3, downsampling="stride"), (7, 7, 1), "halves the image 3 times"),
        (cnn(1), (1, 5, 1), "needs 2 pixels a side, but the images are 1x5. Use larger images."),
        (
            cnn(2, padding="valid"),
            (8, 9, 1),
            "block2_pool needs 2 pixels a side, but with model.padding=valid only 1 of the 8x9 image is "
            "left there. Use model.padding=same, a smaller model.kernel_size, or fewer "
            "blocks in model.filters.",
        ),
        (
            cnn(2, padding="valid", kernel_size=5),
            (10, 10, 1),
            "block2_conv1 needs 5 pixels a side, but with model.padding=valid only 3 of the 10x10 image",
        ),
        (cnn(1, padding="valid", convs_per_block=2), (4, 4, 1), "block1_conv2 needs 3 pixels a side"),
        (
            cnn(2, padding="valid", downsampling="stride"),
            (6, 6, 1),
            "block2_conv1 needs 3 pixels a side, but with model.padding=valid only 2 of",
        ),
    ],
)
def test_refuses_a_network_that_leaves_no_pixel(
    model: ModelConf, input_shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_shape(model, input_shape)
    assert said in str(error.value)


@pytest.mark.parametrize("input_shape", [(8, 8), (5, 8, 8, 1), (8, 8, 0), ()])
@pytest.mark.parametrize("architecture", ["cnn", "custom"])
def test_says_where_the_channel_and_batch_axes_come_from(
    input_shape: tuple[int, ...], architecture: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_shape(ModelConf(architecture), input_shape)
    assert str(error.value) == (
        "A network reads 4-D input (n, height, width, channels), so one image has the shape "
        f"(height, width, channels), but got {input_shape}. Give grey images their channel axis with "
        "images[..., None], and one image its batch axis with image[None]."
    )


def test_checks_without_tensorflow() -> None:
    code = "import sys, kerasweep.model.shapes; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("overrides", [(), ("model=strided",), ("model=vgg_small", "model.filters=[4,8]")])
def test_a_network_has_the_parameters_that_are_counted_without_it(
    overrides: tuple[str, ...], configured: Callable[..., DictConfig]
) -> None:
    cfg = configured(*overrides)
    prepared = read_data(cfg)
    counted = count_parameters(cfg.model, prepared.input_shape, prepared.num_classes)
    assert counted == build_network(cfg, prepared).parameters


def assert_counts(model: ModelConf, shape: tuple[int, int, int], classes: int, plain: bool = False) -> None:
    """Asserts that Keras's network holds as many numbers, without the counters of the warm-up."""
    parts = StockParts(InitializerConf("zeros"), RegularizerConf("none"), 0) if plain else AdjustableParts()
    weights = build_model(model, parts, shape, classes).weights
    held = sum(weight.numpy().size for weight in weights if weight.name != "updates")
    assert count_parameters(model, shape, classes) == held, (model, plain)


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": [3, 5], "convs_per_block": 2, "dense_units": [7, 9]},
        {"head": "global_average"},
        {"padding": "valid", "kernel_size": 2},
        {"padding": "valid", "downsampling": "stride"},
        {"padding": "valid", "downsampling": "stride", "convs_per_block": 2},
        {"kernel_size": 5, "downsampling": "average"},
        {"filters": [4, 4, 4], "downsampling": "stride"},
        {"normalization": NormalizationConf(kind="none")},
        {"normalization": NormalizationConf(position="after_activation"), "separate_activation": True},
        {"normalization": NormalizationConf(center=False)},
        {"normalization": NormalizationConf(scale=False, moving_statistics="keras")},
        {"normalization": NormalizationConf(scale=False, center=False), "dropout": 0.2},
    ],
    ids=str,
)
def test_counts_what_keras_counts(changes: dict[str, Any]) -> None:
    assert_counts(ModelConf("cnn", **({"filters": [4]} | changes)), (8, 8, 1), 10)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("downsampling", DOWNSAMPLINGS)
def test_counts_what_keras_counts_on_images_with_odd_sides(downsampling: str, padding: str) -> None:
    """The count of global average pooling does not depend on the image, so one network has it."""
    for kernel_size, convs, head in [*product((2, 3), (1, 2), ("flatten",)), (3, 2, "global_average")]:
        model = ModelConf("cnn", filters=[2, 3], kernel_size=kernel_size, convs_per_block=convs)
        model.downsampling, model.padding, model.head = downsampling, padding, head
        assert_counts(model, (27, 22, 3), 4, plain=kernel_size + convs == 4)
