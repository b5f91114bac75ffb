"""A backbone gets its weights, its preprocessing and its channels, and what does not fit is refused."""

import inspect
import logging
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasweep.config.backbones import BACKBONES, RESERVED
from kerasweep.config.model import BackboneConf, InitializerConf, RegularizerConf
from kerasweep.errors import ConfigError, UnavailableError
from kerasweep.file_lock import locked
from kerasweep.model.backbone import base_of, build_extractor, build_with_backbone, unfreeze, weights_lock
from kerasweep.model.parts import AdjustableParts, Parts, StockParts
from kerasweep.model.shapes import check_shape
from kerasweep.model.weights import weights_identity
from tests.trained_backbones import BACKBONE, KWARGS

SHAPE = (32, 32, 3)
STOCK = StockParts(InitializerConf("glorot_uniform"), RegularizerConf("none"), 0)


def conf(weights: Path | str | None = None, **fields: Any) -> BackboneConf:
    name = None if weights is None else str(weights)
    return BackboneConf("backbone", **{"backbone": BACKBONE, "kwargs": KWARGS, **fields}, weights=name)


def network(model: BackboneConf, parts: Parts = STOCK, shape: tuple[int, int, int] = SHAPE) -> keras.Model:
    return build_with_backbone(model, parts, shape, num_classes=4)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def constructors() -> dict[str, Any]:
    public = {name: getattr(keras.applications, name) for name in dir(keras.applications)}
    return {name.lower(): value for name, value in public.items() if inspect.isfunction(value)}


def test_table_names_every_constructor_of_keras() -> None:
    assert sorted(name.replace("_", "") for name in BACKBONES) == sorted(constructors())


@pytest.mark.parametrize(("name", "least"), BACKBONES.items())
def test_least_size_is_that_of_keras(name: str, least: int) -> None:
    source = inspect.getsource(sys.modules[constructors()[name.replace("_", "")].__module__])
    assert f"min_size={least}," in source or (least == 32 and "min_size=" not in source)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_module_has_a_preprocessing(name: str) -> None:
    assert callable(sys.modules[constructors()[name.replace("_", "")].__module__].preprocess_input)


def test_features_are_those_of_keras_with_its_preprocessing(backbone_weights: Path) -> None:
    images = pixels(3, *SHAPE)
    base = keras.applications.MobileNet(
        input_shape=SHAPE, include_top=False, pooling="avg", weights=None, **KWARGS
    )
    base.load_weights(backbone_weights)
    expected = base(images / 127.5 - 1.0, training=False)
    found = build_extractor(conf(backbone_weights), SHAPE)(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.std(found) > 0.1


def test_grey_images_are_repeated_and_resized(backbone_weights: Path) -> None:
    images = pixels(3, 8, 8, 1)
    resized = keras.ops.image.resize(np.repeat(images, 3, axis=-1), (32, 32))
    expected = build_extractor(conf(backbone_weights), SHAPE)(resized)
    found = build_extractor(conf(backbone_weights, image_size=[32, 32]), (8, 8, 1))(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_batch_normalization_keeps_its_statistics_while_its_layers_train(backbone_weights: Path) -> None:
    parts = AdjustableParts()
    model = network(conf(backbone_weights, trainable=True), parts)
    before = [np.array(variable) for variable in base_of(model).non_trainable_variables]
    images = pixels(3, *SHAPE)
    np.testing.assert_array_equal(model(images, training=True), model(images, training=False))
    for variable, value in zip(base_of(model).non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_backbone_without_weights_trains_its_batch_normalization() -> None:
    model = network(conf(None, trainable=True), AdjustableParts())
    before = [np.array(variable) for variable in base_of(model).non_trainable_variables]
    model(pixels(3, *SHAPE), training=True)
    after = base_of(model).non_trainable_variables
    assert not all(np.array_equal(*pair) for pair in zip(after, before, strict=True))


def trained_layers(model: keras.Model) -> list[str]:
    trains = {id(weight) for weight in model.trainable_weights}
    return [
        layer.name for layer in base_of(model).layers if any(id(weight) in trains for weight in layer.weights)
    ]


@pytest.mark.parametrize(
    ("trainable", "names"),
    [(False, []), (2, ["conv_pw_13_bn"]), (3, ["conv_pw_13", "conv_pw_13_bn"])],
)
def test_last_layers_train(trainable: bool | int, names: list[str]) -> None:
    assert trained_layers(network(conf(None, trainable=trainable))) == names  # the last one is a ReLU


def test_all_layers_train_once_a_frozen_backbone_is_unfrozen() -> None:
    model = network(conf(None, trainable=False))
    assert trained_layers(model) == []
    weights = unfreeze(model, conf(None, trainable=False))
    assert len(weights) == len(network(conf(None, trainable=True)).trainable_weights) - 2


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        network(conf(None, trainable=999))
    assert str(caught.value) == (
        "model.trainable=999 must be at most the 86 layers of mobilenet_0.25_32. Lower it, or use "
        "true for all."
    )


def test_argument_that_no_constructor_takes_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        network(conf(None, kwargs={"width": 2}))
    assert str(caught.value).startswith(
        "model.kwargs.width is no argument of keras.applications.MobileNet. It"
    )


def test_value_that_the_constructor_refuses_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        network(conf(None, backbone="densenet121", kwargs={"name": 3}, image_size=[8, 8]))
    assert str(caught.value).startswith(
        "keras.applications.DenseNet121 does not take model.kwargs={'name': 3}: "
    )


def test_constructors_take_what_is_reserved() -> None:
    taken = {name for function in constructors().values() for name in inspect.signature(function).parameters}
    assert set(RESERVED) <= taken


@pytest.mark.parametrize("damage", ["other backbone", "other kwargs", "torn", "text"])
def test_file_that_does_not_fit_is_refused(damage: str, backbone_weights: Path, tmp_path: Path) -> None:
    fields: dict[str, Any] = {}
    path = tmp_path / "some.weights.h5"
    path.write_bytes(backbone_weights.read_bytes()[: 50_000 if damage == "torn" else None])
    if damage == "text":
        path.write_text("no weights")
    if damage == "other backbone":
        fields = {"backbone": "mobilenet_v2", "kwargs": {"alpha": 0.35}}
    if damage == "other kwargs":
        fields = {"kwargs": {"alpha": 0.5}}
    model = conf(path, **fields)
    with pytest.raises(ConfigError) as caught:
        network(model)
    assert str(caught.value).startswith(f"model.weights={path} does not fit {model.backbone}, which has ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["whole.keras", "whole.h5"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_saved_backbone_is_a_file_of_weights(name: str, backbone_weights: Path, tmp_path: Path) -> None:
    base = base_of(network(conf(backbone_weights)))
    base.save(tmp_path / name)
    again = base_of(network(conf(tmp_path / name)))
    for weight, other in zip(base.weights, again.weights, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_imagenet_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(UnavailableError) as caught:
        network(conf("imagenet", kwargs={"alpha": 0.75}))
    assert str(caught.value).startswith(
        "model.weights=imagenet cannot be loaded for mobilenet: URL fetch failure"
    )
    assert str(caught.value).endswith(
        "Without a network, copy the file of weights here and name it, as in model.weights=FILE; "
        "model.weights=null begins with random weights."
    )


def test_weights_that_keras_does_not_have_are_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        network(conf("imagenet", kwargs={"alpha": 0.6}))
    assert not isinstance(caught.value, UnavailableError)


def test_a_process_waits_while_another_downloads_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waits, errors = threading.Event(), []
    monkeypatch.setattr(logging.getLogger("kerasweep.model.backbone"), "info", lambda text: waits.set())

    def load() -> None:
        with pytest.raises(ConfigError) as caught:
            network(conf("imagenet", kwargs={"alpha": 0.75}))
        errors.append(str(caught.value))

    other = threading.Thread(target=load)
    with locked(weights_lock()):
        other.start()
        assert waits.wait(120)
        assert errors == []
    other.join()
    assert errors[0].startswith("model.weights=imagenet cannot be loaded for mobilenet: URL fetch failure")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            "none.weights.h5",
            "model.weights must be null, imagenet or a file of weights, but there is no file "
            "none.weights.h5. Give its path, as in model.weights=backbone.weights.h5.",
        ),
        (
            __file__,
            f"model.weights must end in .weights.h5, .keras, .h5, but got {__file__}. "
            "Save the backbone with backbone.save_weights('backbone.weights.h5').",
        ),
    ],
)
def test_file_of_weights_is_checked_without_keras(weights: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        weights_identity(weights)
    assert str(caught.value) == message


def test_weights_are_named_by_their_content(backbone_weights: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.weights.h5", tmp_path / "other.weights.h5"
    copy.write_bytes(backbone_weights.read_bytes())
    other.write_bytes(backbone_weights.read_bytes() + b" ")
    same, changed = weights_identity(str(copy)), weights_identity(str(other))
    assert same == weights_identity(str(backbone_weights)) != changed
    copy.write_bytes(other.read_bytes())
    assert weights_identity(str(copy)) == changed
    assert (weights_identity(None), weights_identity("imagenet")) == ("null", "imagenet")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (32, 32, 4),
            "model=backbone reads grey images or RGB, 1 or 3 channels, but the images have 4. "
            "Use data with 1 or 3 channels, or another model.",
        ),
        (
            (40, 31, 3),
            "model.backbone=mobilenet needs images of at least 32 pixels a side, but these are 40x31. "
            "Let the graph enlarge them, as in model.image_size=[32,32].",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_shape(conf(), shape)
    assert str(caught.value) == message


def test_small_images_are_allowed_where_the_graph_enlarges_them() -> None:
    check_shape(conf(image_size=[32, 32]), (8, 8, 1))
