"""A network that does not fit its images is refused, with what to change."""

import subprocess
import sys

import pytest

from kerasweep.config.model import ModelConf
from kerasweep.errors import ConfigError
from kerasweep.model.check import check_shape


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
        # 8 -> 6 -> 3 -> 1 would leave nothing to pool; 10 -> 8 -> 4 -> 2 -> 1.
        (cnn(2, padding="valid"), (10, 10, 1)),
        # 11 -> 9 -> 7 -> 3.
        (cnn(1, padding="valid", convs_per_block=2), (11, 6, 1)),
        # 7 -> 3 -> 1.
        (cnn(2, padding="valid", downsampling="stride"), (7, 7, 1)),
        (ModelConf("custom", target="a:b", filters=[1] * 9), (1, 1, 1)),
    ],
)
def test_fits(model: ModelConf, input_shape: tuple[int, ...]) -> None:
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
def test_refuses_what_leaves_no_pixel(model: ModelConf, input_shape: tuple[int, ...], said: str) -> None:
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
    code = "import sys, kerasweep.model.check; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
