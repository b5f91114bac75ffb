"""Each rule of model=backbone refuses configurations that break it, with its message."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from hydra.errors import ConfigCompositionException

from kerasweep.config import check
from kerasweep.errors import ConfigError
from tests.compositions import compose_train

BACKBONE = ("model=backbone", "training.epochs=5")
SENTENCES = [
    (
        "model.backbone=mobilenet_v3_smal",
        "model.backbone must name a network of keras.applications in snake case, or a preset of KerasHub "
        "after hub:, but got mobilenet_v3_smal. Did you mean mobilenet_v3_small or mobilenet_v3_large?",
    ),
    (
        "+model.kwargs.pooling=max",
        "model.kwargs.pooling is set by kerasweep from the keys of model and data. Leave it out.",
    ),
    *(
        (
            f"model.trainable={value}",
            "model.trainable must be false (frozen), true (all layers) or the number of last layers that "
            f"train, but got {value}. Write it as in model.trainable=20.",
        )
        for value in ("0", "-3", "half", "0.5")
    ),
    (
        "model.image_size=[31,32]",
        "model.image_size must be a height and a width of at least 32 pixels for mobilenet_v3_small, "
        "but got [31, 32]. Write it as in model.image_size=[96,96].",
    ),
    (
        "model.backbone=xception model.image_size=[64,64]",
        "model.image_size must be a height and a width of at least 71 pixels for xception, "
        "but got [64, 64]. Write it as in model.image_size=[96,96].",
    ),
    ("model.dropout=1.0", "model.dropout must be at least 0 and below 1, but got 1.0."),
    ("model.dense_dropout=-0.1", "model.dense_dropout must be at least 0 and below 1, but got -0.1."),
    ("model.dense_units=[8,0]", "model.dense_units must all be at least 1, but got [8, 0]."),
    ("training.unfreeze_at=1", "training.unfreeze_at must be at least 2, but got 1."),
    (
        "training.unfreeze_at=6",
        "training.unfreeze_at=6 comes after the last of 5 epochs, so the backbone never trains. "
        "Lower it, raise training.epochs, or leave it out.",
    ),
    (
        "training.unfreeze_at=3 model.trainable=true",
        "model.trainable=true trains the backbone from the first epoch, so training.unfreeze_at=3 "
        "unfreezes nothing. Use model.trainable=false to unfreeze all layers then, or a number to unfreeze "
        "the last ones.",
    ),
    (
        "training.unfreeze_at=3 training.unfreeze_learning_rate=0",
        "training.unfreeze_learning_rate must be above 0, but got 0.0.",
    ),
    (
        "training.unfreeze_learning_rate=0.01",
        "training.unfreeze_learning_rate=0.01 is not read without training.unfreeze_at, the epoch from which "
        "the backbone trains. Add it, as in training.unfreeze_at=4.",
    ),
    (
        "data.scaling=z_score",
        "data.scaling=z_score is not read: model=backbone gets pixels 0..255 and has the preprocessing of "
        "its backbone. Leave data.scaling out.",
    ),
    (
        "regularizer=l2 regularizer.on=conv",
        "regularizer.on=conv has nothing to act on: with model=backbone the penalty is on the dense layers. "
        "Choose regularizer.on=dense or both.",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), SENTENCES)
def test_broken_rule_is_refused(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(compose_train(*BACKBONE, *overrides.split()))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "model.weights=null model.trainable=true",
        "model.trainable=12 training.unfreeze_at=5",
        "training.unfreeze_at=2 training.unfreeze_learning_rate=0.1 schedule=plateau",
        "+model.kwargs.alpha=0.5 model.dropout=0.5 model.dense_units=[8] regularizer=l2",
        "augment=flip_crop model.image_size=[96,64]",
    ],
)
def test_what_can_be_trained_is_allowed(overrides: str) -> None:
    check(compose_train(*BACKBONE, *overrides.split()))


def test_other_networks_have_nothing_to_unfreeze() -> None:
    with pytest.raises(ConfigError) as caught:
        check(compose_train("training.unfreeze_at=3"))
    assert str(caught.value) == (
        "training.unfreeze_at=3 is for model=backbone: other networks have no frozen layers. "
        "Add model=backbone, or leave it out."
    )


def test_key_of_another_network_is_refused() -> None:
    with pytest.raises(
        ConfigCompositionException, match="The chosen model has no filters. It has architecture, "
    ):
        compose_train(*BACKBONE, "model.filters=[8]")


def test_kerashub_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ConfigError) as caught:
        check(compose_train(*BACKBONE, "model.backbone=hub:resnet_18_imagenet"))
    assert str(caught.value) == (
        "model.backbone=hub:resnet_18_imagenet needs KerasHub, which is not installed. Install it, as in "
        "pip install 'kerasweep[hub]'."
    )


def test_folder_of_a_preset_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("keras_hub")
    package.__spec__ = ModuleSpec("keras_hub", None)
    monkeypatch.setitem(sys.modules, "keras_hub", package)
    with pytest.raises(ConfigError) as caught:
        check(compose_train(*BACKBONE, "model.backbone=hub:./absent"))
    assert str(caught.value) == (
        "model.backbone must name a preset of KerasHub after hub:, as in hub:resnet_18_imagenet, or its "
        "folder, but got hub:./absent, which is no folder. Correct the name."
    )
