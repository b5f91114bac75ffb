"""A preset of KerasHub is a backbone as those of Keras: its weights, its preprocessing, its features."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasweep.config import check
from kerasweep.config.backbones import hub_packages
from kerasweep.config.model import BackboneConf, InitializerConf, RegularizerConf
from kerasweep.errors import ConfigError
from kerasweep.model.backbone import base_of, build_extractor, build_with_backbone, unfreeze
from kerasweep.model.parts import StockParts
from kerasweep.model.weights import backbone_identity
from kerasweep.training.numerics import read_packages
from kerasweep.trial.frozen_backbone import features_key
from kerasweep.trial.network import Network, build_network
from kerasweep.trial.rerun_verdict import find_changes
from kerasweep.trial.run import read_data
from tests.compositions import compose_train
from tests.processes import run_script

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub, an extra of kerasweep, is not installed")
constants = pytest.importorskip("huggingface_hub.constants", reason="a dependency of keras-hub")

SHAPE = (32, 32, 3)
OFFSET = [0.1, 0.2, 0.3]
# Loads a model where nothing else has imported KerasHub.
LOAD = """
import sys
from pathlib import Path
import numpy as np
from kerasweep.handover.recorded_model import load_keras

assert "keras_hub" not in sys.modules
np.save("found.npy", load_keras(Path("model.keras"), "it")(np.load("images.npy")))
"""
STOCK = StockParts(InitializerConf("glorot_uniform"), RegularizerConf("none"), 0)


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of presets: vgg with a preprocessing, the others without one."""
    folder = tmp_path_factory.mktemp("presets")
    keras.utils.set_random_seed(0)
    models = keras_hub.models
    vgg = models.VGGBackbone(stackwise_num_repeats=[1, 1], stackwise_num_filters=[4, 8], image_shape=SHAPE)
    converter = keras_hub.layers.VGGImageConverter(image_size=SHAPE[:2], scale=[1 / 255] * 3, offset=OFFSET)
    preprocessor = models.VGGImageClassifierPreprocessor(converter)
    models.VGGImageClassifier(vgg, num_classes=3, preprocessor=preprocessor).save_to_preset(folder / "vgg")
    models.ViTBackbone(
        image_shape=SHAPE, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8
    ).save_to_preset(folder / "vit")
    models.DeiTBackbone(
        image_shape=SHAPE, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8
    ).save_to_preset(folder / "deit")
    models.DINOV2Backbone(
        image_shape=SHAPE, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8
    ).save_to_preset(folder / "dino")
    models.ViTDetBackbone(
        image_shape=SHAPE,
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_size=8,
        intermediate_dim=8,
        global_attention_layer_indices=[0],
        window_size=2,
    ).save_to_preset(folder / "vit_det")
    models.BertBackbone(
        vocabulary_size=10, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4
    ).save_to_preset(folder / "bert")
    return folder


def conf(preset: Path, **fields: Any) -> BackboneConf:
    return BackboneConf("backbone", backbone=f"hub:{preset}", **fields)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def test_features_are_those_of_the_preset_with_its_preprocessing(presets: Path) -> None:
    images = pixels(3, *SHAPE)
    maps = keras_hub.models.Backbone.from_preset(str(presets / "vgg"))(images / 255 + np.array(OFFSET))
    found = build_extractor(conf(presets / "vgg"), SHAPE)(images)
    np.testing.assert_allclose(found, np.mean(maps, axis=(1, 2)), rtol=1e-4)
    assert np.std(found) > 0.001


def test_tokens_are_averaged_and_grey_images_resized(presets: Path) -> None:
    images = pixels(3, 8, 8, 1)
    resized = keras.ops.image.resize(np.repeat(images, 3, axis=-1), SHAPE[:2])
    tokens = keras_hub.models.Backbone.from_preset(str(presets / "vit"))(resized)
    found = build_extractor(conf(presets / "vit", image_size=[32, 32]), (8, 8, 1))(images)
    np.testing.assert_allclose(found, np.mean(tokens, axis=1), atol=1e-4)


def test_network_of_plain_layers_needs_no_kerashub_to_load(presets: Path, tmp_path: Path) -> None:
    model = build_with_backbone(conf(presets / "vgg"), STOCK, SHAPE, num_classes=4)
    model.save(tmp_path / "model.keras")
    assert b"keras_hub" not in (tmp_path / "model.keras").read_bytes()
    images = pixels(3, *SHAPE)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(images), model(images))


def test_network_of_its_own_layers_loads_where_kerashub_is_installed(presets: Path, tmp_path: Path) -> None:
    model = build_with_backbone(conf(presets / "vit"), STOCK, SHAPE, num_classes=4)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", pixels(3, *SHAPE))
    done = run_script(tmp_path, "-c", LOAD)
    assert done.code == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), model(pixels(3, *SHAPE)), rtol=1e-5)


@pytest.mark.parametrize("preset", ["deit", "dino"])
def test_network_is_saved_as_its_backbone(preset: str, presets: Path, tmp_path: Path) -> None:
    """A layer of DeiT cannot be saved alone, and DINO takes a dictionary."""
    model = build_with_backbone(conf(presets / preset), STOCK, SHAPE, num_classes=4)
    model.save(tmp_path / "model.keras")
    images = pixels(3, *SHAPE)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(images), model(images))


def test_weights_may_be_random_or_a_file(presets: Path, tmp_path: Path) -> None:
    given = build_extractor(conf(presets / "vgg"), SHAPE)
    path = tmp_path / "vgg.weights.h5"
    base_of(given).save_weights(path)
    images = pixels(3, *SHAPE)
    loaded = build_extractor(conf(presets / "vgg", weights=str(path)), SHAPE)
    np.testing.assert_array_equal(loaded(images), given(images))
    assert np.any(build_extractor(conf(presets / "vgg", weights=None), SHAPE)(images) != given(images))


def test_last_layers_train_and_the_others_once_they_are_unfrozen(presets: Path) -> None:
    model = build_with_backbone(conf(presets / "vgg", trainable=2), STOCK, SHAPE, num_classes=4)
    assert len(model.trainable_weights) == 2 + 2  # the last convolution and the softmax
    frozen = build_with_backbone(conf(presets / "vgg"), STOCK, SHAPE, num_classes=4)
    assert len(frozen.trainable_weights) == 2 and len(unfreeze(frozen, conf(presets / "vgg"))) == 4


def test_preset_is_named_by_its_content(presets: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (presets / "vgg").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    cfg = compose_train("model=backbone", f"model.backbone=hub:{copy}").model
    before = backbone_identity(cfg)
    assert before == backbone_identity(
        compose_train("model=backbone", f"model.backbone=hub:{presets}/vgg").model
    )
    (copy / "model.weights.h5").write_bytes(b"another")
    assert backbone_identity(cfg) != before
    cfg.backbone = "hub:resnet_18_imagenet"
    assert backbone_identity(cfg) == f"imagenet KerasHub {keras_hub.__version__}"


def test_run_records_the_version_of_kerashub() -> None:
    cfg = compose_train("model=backbone", "model.backbone=hub:resnet_18_imagenet")
    before = {"packages": read_packages(hub_packages(cfg.model))}
    assert before["packages"].endswith(f" keras-hub=={keras_hub.__version__}")
    now = {"packages": before["packages"].replace(keras_hub.__version__, "0.99")}
    change = f"keras-hub is another version ({keras_hub.__version__} / 0.99)"
    assert list(find_changes(before, now)) == [change]
    assert "keras-hub" not in read_packages(hub_packages(compose_train("model=backbone").model))


@pytest.fixture
def build(presets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def built(*overrides: str) -> Network:
        small = ("data.limit=100", "training.epochs=2", "model.image_size=[32,32]")
        cfg = compose_train("model=backbone", f"model.backbone=hub:{presets}/vgg", *small, *overrides)
        check(cfg)
        return build_network(cfg, read_data(cfg))

    return built


def test_cached_features_give_the_accuracy_of_the_slow_way(build: Any, tmp_path: Path) -> None:
    fast, slow = build(), build("model.cache_features=false")
    assert fast.frozen is not None and slow.frozen is None
    histories = [each.fit(lambda epoch, metrics: False, tmp_path).history for each in (fast, slow)]
    for epoch, other in zip(*histories, strict=True):
        assert epoch["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert epoch["val_accuracy"] == other["val_accuracy"]


def test_preprocessing_that_cannot_be_downloaded_is_not_left_out(
    presets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of Hugging Face has the backbone, but not yet the preprocessing."""
    repository = tmp_path / "models--user--vgg"
    snapshot = repository / "snapshots" / "abc"
    shutil.copytree(presets / "vgg", snapshot, ignore=shutil.ignore_patterns("image_converter.json"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError) as caught:
        build_extractor(BackboneConf("backbone", backbone="hub:hf://user/vgg"), SHAPE)
    assert str(caught.value) == (
        "The preprocessing of model.backbone=hub:hf://user/vgg cannot be loaded: `image_converter.json` "
        "doesn't exist in preset directory `hf://user/vgg`. Without a network, give the folder that its "
        "save_to_preset wrote."
    )


def test_features_depend_on_the_preset_and_the_version_of_kerashub(presets: Path) -> None:
    vgg, vit = (
        features_key(compose_train("model=backbone", f"model.backbone=hub:{presets}/{preset}"))
        for preset in ("vgg", "vit")
    )
    assert vgg != vit
    assert json.loads(vgg)[-2:] == [keras.__version__, keras_hub.__version__]
    assert keras_hub.__version__ not in features_key(compose_train("model=backbone"))


def test_misspelt_argument_is_refused(presets: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build_extractor(conf(presets / "vgg", kwargs={"stackwise_num_filter": [4, 8]}), SHAPE)
    assert str(caught.value) == (
        "model.kwargs.stackwise_num_filter is no argument of keras_hub.models.VGGBackbone. It takes "
        "stackwise_num_repeats, stackwise_num_filters, image_shape."
    )


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        (
            "{presets}/bert",
            "model.backbone=hub:{presets}/bert is a BertBackbone, which does not turn images into one "
            "feature map or one sequence. Choose an image backbone, as in hub:resnet_18_imagenet.",
        ),
        (
            "{presets}/vit_det",
            "The preprocessing of model.backbone=hub:{presets}/vit_det cannot be loaded: Unable to find a "
            "subclass of ImageConverter that is compatible with ViTDetBackbone found in preset "
            "'{presets}/vit_det'. Without a network, give the folder that its save_to_preset wrote.",
        ),
        (
            "resnet_18_imagnet",
            "model.backbone=hub:resnet_18_imagnet cannot be built for images of 32x32: Unknown preset "
            "identifier. It must be a preset of an image backbone of KerasHub, "
            "model.image_size one of its sizes, and model.kwargs arguments of its constructor. Without a "
            "network, give the folder that its save_to_preset wrote.",
        ),
    ],
)
def test_other_presets_are_refused(preset: str, message: str, presets: Path) -> None:
    model = BackboneConf("backbone", backbone="hub:" + preset.format(presets=presets))
    with pytest.raises(ConfigError) as caught:
        build_extractor(model, SHAPE)
    assert str(caught.value) == message.format(presets=presets)
