"""A head trained on a frozen backbone's outputs is the head trained on images, and is saved with it."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from omegaconf import DictConfig

from kerasweep.data import prepare
from kerasweep.model.backbone import base_of
from kerasweep.trial.begin_program import graph_of
from kerasweep.trial.network import Network, build_network, parameters_of
from kerasweep.trial.run import read_data
from tests.compositions import compose_train
from tests.trained_backbones import OVERRIDES

Built = Callable[..., Network]


@pytest.fixture
def build(backbone_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    """Returns a function that builds a network, whose features lie in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    prepare.forget_data()

    def built(*overrides: str) -> Network:
        cfg = configured(backbone_weights, *overrides)
        return build_network(cfg, read_data(cfg))

    return built


def configured(weights: Path, *overrides: str) -> DictConfig:
    small = ("data.limit=200", "training.epochs=3", "model.dense_units=[8]", "optimizer.learning_rate=0.01")
    return compose_train(*OVERRIDES, f"model.weights={weights}", *small, *overrides)


def train(network: Network, folder: Path, **resume: Any) -> list[dict[str, float]]:
    return network.fit(lambda epoch, metrics: False, folder, **resume).history


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache/kerasweep/features").glob("[!.]*") if path.is_dir())


def test_cached_features_give_the_accuracy_of_the_slow_way(build: Built, tmp_path: Path) -> None:
    more = ("model.dropout=0.2", "regularizer=l2")
    fast = build(*more)
    history = train(fast, tmp_path)
    assert fast.frozen is not None and len(fast.model.input_shape) == 2
    probabilities = fast.probabilities(fast.prepared.test)
    slow = build(*more, "model.cache_features=false")
    expected = train(slow, tmp_path)
    assert slow.frozen is None
    for epoch, other in zip(history, expected, strict=True):
        assert epoch["val_accuracy"] == other["val_accuracy"]
        np.testing.assert_allclose(
            [epoch["loss"], epoch["val_loss"]], [other["loss"], other["val_loss"]], 1e-5
        )
    np.testing.assert_allclose(probabilities, slow.probabilities(slow.prepared.test), atol=1e-5)
    assert fast.parameters == slow.parameters == slow.stock().count_params()
    assert history[-1]["loss"] < history[0]["loss"]


def test_saved_model_needs_only_keras_and_raw_pixels(build: Built, tmp_path: Path) -> None:
    network = build()
    train(network, tmp_path)
    network.twin().save(tmp_path / "model.keras")
    saved = keras.models.load_model(tmp_path / "model.keras")
    images = network.prepared.test.images
    assert images.shape[1:] == (8, 8, 1)
    np.testing.assert_allclose(
        saved.predict(images, verbose=0), network.probabilities(network.prepared.test), atol=1e-5
    )
    assert all(layer.__module__.startswith("keras.") for layer in saved._flatten_layers())


def test_heads_share_features_and_their_graph(build: Built, tmp_path: Path) -> None:
    first = build("model.dropout=0.1")
    train(first, tmp_path)
    kept = entries(tmp_path)
    assert len(kept) == 1
    second = build("model.dropout=0.3", "optimizer.learning_rate=0.1", "initializer=he_normal")
    train(second, tmp_path)
    assert second.traces == 0
    assert entries(tmp_path) == kept
    second.evaluate(second.prepared.test)
    assert len(entries(tmp_path)) == 2


def test_splits_of_the_same_images_share_features(build: Built, tmp_path: Path) -> None:
    build("data.limit=null")
    kept = entries(tmp_path)
    build("data.limit=null", "data.split_seed=1")
    assert entries(tmp_path) == kept


@pytest.mark.parametrize(
    "overrides",
    ["model.image_size=[40,40]", "data.limit=150", "model.weights=null", "training.precision=mixed_bfloat16"],
)
def test_other_images_or_weights_have_their_own_features(
    overrides: str, build: Built, tmp_path: Path
) -> None:
    build()
    build(overrides)
    assert len(entries(tmp_path)) == 2
    keras.config.set_dtype_policy("float32")


def test_random_backbone_depends_on_the_seed_alone(build: Built, tmp_path: Path) -> None:
    def weights(*more: str) -> list[np.ndarray]:
        base = base_of(build("model.weights=null", "model.cache_features=false", *more).model)
        return [np.array(weight) for weight in base.weights]

    first, other, again = weights(), weights("training.seed=1"), weights()
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    "overrides",
    [
        *("augment=flip_crop augment.crop_padding=1", "augment.mixup=0.2", "augment.contrast=0.1"),
        *("model.trainable=2", "training.unfreeze_at=2"),
    ],
)
def test_features_are_not_kept_where_they_change(overrides: str, build: Built, tmp_path: Path) -> None:
    assert build(*overrides.split()).frozen is None
    assert entries(tmp_path) == []


def test_a_saved_network_leaves_no_backbone_behind(build: Built) -> None:
    network = build()
    assert network.frozen is not None
    extractor = weakref.ref(network.frozen.extractor)
    network.whole()
    del network
    gc.collect()
    assert extractor() is None


def test_memory_holds_the_features_of_the_newest_backbone(build: Built, tmp_path: Path) -> None:
    kept = []
    for seed in (0, 1):
        network = build("model.weights=null", f"training.seed={seed}")
        assert network.frozen is not None
        network.probabilities(network.prepared.train)
        kept.append(weakref.ref(network.frozen.part(network.prepared.train)))
        del network
    gc.collect()
    assert [part() is None for part in kept] == [True, False]


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_backbone_trains_from_an_epoch_on_at_its_own_rate(
    schedule: str, build: Built, tmp_path: Path
) -> None:
    frozen = train(build(), tmp_path)
    network = build("training.unfreeze_at=3", "training.unfreeze_learning_rate=0.001", f"schedule={schedule}")
    base = base_of(network.model)
    kernels = [np.array(weight) for weight in base.trainable_weights]
    before: list[list[np.ndarray]] = []

    def note(epoch: int, metrics: dict[str, float]) -> bool:
        before.append([np.array(weight) for weight in base.trainable_weights])
        return False

    history = network.fit(note, tmp_path).history
    assert [epoch["learning_rate"] for epoch in history] == pytest.approx([0.01, 0.01, 0.001])
    for epoch in (0, 1):
        assert history[epoch]["val_loss"] == pytest.approx(frozen[epoch]["val_loss"], rel=1e-5)
        assert all(np.array_equal(*pair) for pair in zip(before[epoch], kernels, strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(before[2][:3], kernels[:3], strict=True))


def test_a_callback_keeps_the_rate_of_a_backbone_that_trains(build: Built, tmp_path: Path) -> None:
    network = build(
        *("training.unfreeze_at=2", "training.unfreeze_learning_rate=0.001", "schedule=constant"),
        "training.callbacks=[keras.callbacks:Callback]",
    )
    history = train(network, tmp_path)
    assert [epoch["learning_rate"] for epoch in history] == pytest.approx([0.01, 0.001, 0.001])


def test_unfreezing_begins_the_optimizer_anew_and_survives_a_resume(build: Built, tmp_path: Path) -> None:
    overrides = ("training.unfreeze_at=2", "training.checkpoint.enabled=true")
    whole = build(*overrides)
    expected = train(whole, tmp_path / "whole")
    digest = whole.weights_digest()
    for stop in (1, 2):
        folder = tmp_path / f"stopped{stop}"
        stopped = build(*overrides)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(_interrupt_after(stop), folder)
        resumed = build(*overrides)
        history = train(resumed, folder, resume_from=folder)
        assert [epoch["loss"] for epoch in history] == [epoch["loss"] for epoch in expected]
        assert resumed.weights_digest() == digest


def _interrupt_after(stop: int) -> Callable[[int, dict[str, float]], bool]:
    def report(epoch: int, metrics: dict[str, float]) -> bool:
        if epoch == stop + 1:  # the state of the epoch before is saved
            raise KeyboardInterrupt
        return False

    return report


def test_parameters_and_graph_are_known_without_features(backbone_weights: Path, tmp_path: Path) -> None:
    cfg = configured(backbone_weights, f"data.cache_dir={tmp_path}")
    data = read_data(cfg)
    assert parameters_of(cfg, data) == 218544 + (256 * 8 + 8) + (8 * 10 + 10)
    other = configured(backbone_weights, f"data.cache_dir={tmp_path}", "model.weights=null")
    assert graph_of(cfg, data) != graph_of(other, data)
    assert not (tmp_path / "features").exists()
