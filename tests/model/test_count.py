"""Parameters that are reckoned are those that Keras holds."""

from collections.abc import Callable
from itertools import product

import keras
import pytest
from omegaconf import DictConfig

from kerasweep.config.model import DOWNSAMPLINGS, HEADS, ModelConf
from kerasweep.model.count import count_parameters
from kerasweep.trial.network import Network
from kerasweep.trial.run import read_data

NETWORKS = [
    (),
    ("model=strided",),
    ("model=vgg_small", "model.filters=[4,8]"),
    ("model.filters=[3,5]", "model.convs_per_block=2", "model.dense_units=[7,9]"),
    ("model.head=global_average", "model.filters=[6]"),
    ("model.padding=valid", "model.filters=[4]", "model.kernel_size=2"),
    ("model.padding=valid", "model.filters=[4]", "model.downsampling=stride"),
    ("model.padding=valid", "model.filters=[4]", "model.downsampling=stride", "model.convs_per_block=2"),
    ("model.kernel_size=5", "model.downsampling=average"),
    ("model.downsampling=stride", "model.filters=[4,4,4]", "data.labels=one_hot"),
    ("model.normalization.kind=none",),
    ("model.normalization.position=after_activation", "model.separate_activation=true"),
    ("model.normalization.center=false",),
    ("model.normalization.scale=false", "model.normalization.moving_statistics=keras"),
    ("model.normalization.scale=false", "model.normalization.center=false", "model.dropout=0.2"),
]


@pytest.mark.parametrize("overrides", NETWORKS, ids=" ".join)
def test_counts_what_keras_counts(overrides: tuple[str, ...], configured: Callable[..., DictConfig]) -> None:
    cfg = configured(*overrides)
    prepared = read_data(cfg)
    counted = count_parameters(cfg.model, prepared.input_shape, prepared.num_classes)
    assert counted == Network(cfg, prepared).parameters


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("downsampling", DOWNSAMPLINGS)
def test_counts_on_odd_images_whatever_is_left_of_a_side(
    downsampling: str, padding: str, build: Callable[..., keras.Model]
) -> None:
    shape = (27, 22, 3)
    for kernel_size, convs, head, plain in product((2, 3), (1, 2), HEADS, (True, False)):
        model = ModelConf("cnn", filters=[2, 3], kernel_size=kernel_size, convs_per_block=convs)
        model.downsampling, model.padding, model.head = downsampling, padding, head
        weights = build(model, input_shape=shape, num_classes=4, plain=plain).weights
        held = sum(weight.numpy().size for weight in weights if weight.name != "updates")
        assert count_parameters(model, shape, 4) == held, (kernel_size, convs, head, plain)
