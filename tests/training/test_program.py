"""A reused program trains like a new one, bit for bit, and equal graphs are traced once."""

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf

from kerasweep.data.feeds import Pace, Streamed, epoch_order, feed_of
from kerasweep.data.prepare import Part
from kerasweep.data.scaling import Scaling
from kerasweep.errors import ConfigError
from kerasweep.training.program import Program, _numbers, _scaled
from kerasweep.training.program_cache import PROGRAMS
from kerasweep.trial.network import Network, build_network
from kerasweep.trial.run import read_data
from tests.processes import run_script

Configured = Callable[..., DictConfig]
HISTORIES = Path(__file__).with_name("histories.py")

# What a trial can leave in a program is state: so each of these differs from the ones of its graph before in
# all that is no part of the graph, and each part of a graph that has state (slots, loss scale, moving
# statistics, random states, rates, factors) is in some graph.
HALF = (
    *("optimizer=adamw", "training.precision=mixed_float16", "model.dense_units=[8]"),
    "model.normalization.moving_statistics=keras",
)
STRIDED = (
    *("optimizer=rmsprop", "optimizer.clipnorm=1.0", "training.precision=mixed_bfloat16"),
    *("model.kernel_size=5", "model.normalization.kind=none", "model.downsampling=stride"),
    *("model.head=global_average", "data.labels=one_hot", "augment=flip_crop", "augment.crop_padding=1"),
)
CUSTOM = (
    *("model=custom", "model.target=tests.training.networks:dropping"),
    *("optimizer=sgd", "optimizer.momentum=0.9"),
)
LOSS = ("training.loss=categorical_focal_crossentropy", "training.metrics=[auc]")
AUGMENT = (
    *("augment=strong", "augment.crop_padding=1", "augment.mixup=0.3", "training.class_weight=balanced"),
    "training.label_smoothing=0.1",
)
OWN = (
    *(
        "optimizer=custom",
        "optimizer.target=tests.training.own_parts:adagrad",
        "optimizer.learning_rate=0.05",
    ),
    *(
        "training.loss=tests.training.own_parts:focal",
        "training.callbacks=[tests.training.own_parts:Halving]",
    ),
)
AXES = [
    (),
    (
        *("schedule=plateau", "schedule.patience=1", "optimizer.learning_rate=0.05"),
        *("regularizer=l2", "regularizer.strength=0.1", "regularizer.on=dense"),
        *("training=early_stopping", "training.early_stopping.patience=1", "training.epochs=5"),
    ),
    (
        *("training.seed=1", "optimizer.learning_rate=0.1", "schedule=step", "training.batch_size=7"),
        *("initializer=random_normal", "initializer.stddev=0.3", "data.scaling=z_score"),
        *("regularizer=l1_l2", "regularizer.strength=0.001", "regularizer.on=conv"),
    ),
    (
        *("training.seed=2", "schedule=cosine", "training.batch_size=200", "training.shuffle=false"),
        *("initializer=he_normal", "regularizer=l1", "regularizer.strength=0.01"),
        *("data.limit=90", "data.seed=3"),
    ),
    (
        *(*HALF, "model.dropout=0.2", "model.dense_dropout=0.5", "optimizer.weight_decay=0.5"),
        *("schedule=exponential", "regularizer=l2", "regularizer.strength=0.1"),
    ),
    (
        *(*HALF, "model.dropout=0.7", "model.dense_dropout=0.1", "optimizer.weight_decay=0.01"),
        *("training.seed=4", "schedule=warmup_cosine", "optimizer.learning_rate=0.02"),
    ),
    (*STRIDED, "training.seed=6", "optimizer.learning_rate=0.02"),
    (*STRIDED, "training.seed=5", "training.batch_size=7"),
    CUSTOM,
    (*CUSTOM, "training.seed=8", "optimizer.learning_rate=0.1"),
    (*LOSS, "training.label_smoothing=0.1", "training.class_weight=balanced"),
    (*LOSS, "training.label_smoothing=0.3", "training.class_weight={3:5}", "training.seed=9"),
    OWN,
    (*OWN, "training.seed=7", "training.batch_size=7"),
    AUGMENT,
    (
        *(*AUGMENT, "training.seed=3", "augment.crop_padding=2", "augment.rotation=0.2", "augment.zoom=0.3"),
        *("augment.brightness=0.4", "augment.contrast=0.5", "augment.cutout=0.3", "augment.mixup=2"),
    ),
    (),
]
GRAPHS = 8  # seven, and the first one again at the end: the cache holds three programs


def test_used_programs_train_as_new_processes_do_to_the_last_bit(
    configured: Configured, tmp_path: Path
) -> None:
    small = ("training.deterministic=true", "training.batch_size=16", "training.epochs=3")
    texts = [OmegaConf.to_yaml(configured(*small, *axis), resolve=True) for axis in AXES]
    configs, output = tmp_path / "configs.json", tmp_path / "histories.json"
    configs.write_text(json.dumps(texts))
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
    done = run_script(tmp_path, str(HISTORIES), str(configs), str(output), **threads)
    assert done.code == 0, done.stderr
    histories = json.loads(output.read_text())
    for axis, used, alone in zip(AXES, histories["used"], histories["alone"], strict=True):
        assert used["epochs"] == alone["epochs"], axis
        assert used["best_epoch"] == alone["best_epoch"], axis
        assert alone["traces"] == 1
    assert sum(used["traces"] for used in histories["used"]) == GRAPHS


def network_of(cfg: DictConfig) -> Network:
    return build_network(cfg, read_data(cfg))


def trained(cfg: DictConfig, epochs: int = 2, feed: Any = None) -> list[dict[str, float]]:
    """Trains a few epochs and returns their metrics; `feed` replaces the default feed."""
    network = network_of(cfg)
    part, training = network.prepared.train, cfg.training
    found = []
    for epoch in range(1, epochs + 1):
        order = epoch_order(len(part), training.seed, epoch, training.shuffle)
        rates = [cfg.optimizer.learning_rate] * network.steps_per_epoch
        found.append(
            network.program.train(
                feed or feed_of(part),
                network.prepared.scaling,
                order,
                training.batch_size,
                training.seed,
                epoch,
                rates,
            )
        )
    return found


def spoil_variables(program: Program) -> None:
    for variable in program.variables:
        variable.assign(np.full(variable.shape, 7, variable.dtype))


def spoil_learning_rate(program: Program) -> None:
    program.optimizer.learning_rate = 7.0


def spoil_coefficients(program: Program) -> None:
    assert program.parts is not None
    for penalty in program.parts._penalties.values():
        penalty.adjust(7.0, 7.0)
    for rate in program.parts._rates.values():
        rate.assign(0.9)


def spoil_weight_decay(program: Program) -> None:
    optimizer = getattr(program.optimizer, "inner_optimizer", program.optimizer)
    optimizer.weight_decay.assign(7.0)


def spoil_stop(program: Program) -> None:
    program.model.stop_training = True


ADJUSTED = (
    *("optimizer=adamw", "model.dropout=0.4", "model.dense_units=[8]", "model.dense_dropout=0.1"),
    *("regularizer=l2", "training.deterministic=true", "training.precision=mixed_float16"),
    *("training.batch_size=16", "initializer=he_normal"),
)


@pytest.fixture(scope="module")
def first_use(configured: Configured) -> tuple[DictConfig, list[np.ndarray], list[dict[str, float]]]:
    """Returns a configuration, the variables of its new program, and its history."""
    cfg = configured(*ADJUSTED)
    fresh = [variable.numpy() for variable in network_of(cfg).program.variables]
    return cfg, fresh, trained(cfg)


@pytest.mark.parametrize(
    "spoil",
    [spoil_variables, spoil_learning_rate, spoil_coefficients, spoil_weight_decay, spoil_stop],
    ids=lambda spoil: spoil.__name__,
)
def test_nothing_of_a_trial_reaches_the_next(first_use: Any, spoil: Callable[..., None]) -> None:
    """Each case overwrites a part of a used program, such as weights, optimizer slots, rates or factors."""
    cfg, fresh, history = first_use
    program = network_of(cfg).program
    traces = program.traces
    spoil(program)
    again = network_of(cfg)
    assert again.program is program
    for variable, value in zip(program.variables, fresh, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    assert not again.model.stop_training
    assert trained(cfg) == history
    assert program.traces == traces


def test_each_dropout_rate_is_set_in_a_used_program(configured: Configured) -> None:
    """Without the assignment the rate stays at the value of the trial before, or at 0."""
    losses = {}
    for dense_dropout in (0.1, 0.8):
        cfg = configured(*ADJUSTED, f"model.dense_dropout={dense_dropout}")
        network = network_of(cfg)
        for name, rate in (("block1_dropout", 0.4), ("dense1_dropout", dense_dropout)):
            dropped = np.asarray(
                network.model.get_layer(name)(np.ones((1, 20_000), "float32"), training=True)
            )
            assert (dropped == 0).mean() == pytest.approx(rate, abs=0.02)
            assert dropped.max() == pytest.approx(1 / (1 - rate), rel=1e-3)  # in half precision
        losses[dense_dropout] = trained(cfg, epochs=1)[0]["loss"]
    assert network.traces == 0
    assert losses[0.1] < losses[0.8]


@pytest.mark.parametrize(
    ("overrides", "loss", "class_weight"),
    [
        ((), "sparse_categorical_crossentropy", None),
        (
            ("training.label_smoothing=0.2", "training.class_weight={0:3,7:0.5}"),
            keras.losses.CategoricalCrossentropy(label_smoothing=0.2),
            {**dict.fromkeys(range(10), 1.0), 0: 3.0, 7: 0.5},
        ),
        (
            ("training.loss=categorical_focal_crossentropy",),
            keras.losses.CategoricalFocalCrossentropy(),
            None,
        ),
        (
            ("training.loss=tests.training.own_parts:Squared", "data.labels=one_hot"),
            "mean_squared_error",
            None,
        ),
    ],
    ids=["cross-entropy", "smoothed and weighted", "focal", "own"],
)
def test_training_equals_keras(
    configured: Configured, overrides: tuple[str, ...], loss: Any, class_weight: dict[int, float] | None
) -> None:
    """The reference is Keras's fit of the stock network with the same batches in the same order."""
    small = ("training.batch_size=16", "regularizer=l1_l2", "initializer=he_normal")
    cfg = configured(*small, *overrides)
    cfg.model.normalization.moving_statistics = "keras"
    network = network_of(cfg)
    data, stock = network.prepared, network.stock()
    stock.compile("adam", loss, metrics=["accuracy"], run_eagerly=True)
    is_sparse = loss == "sparse_categorical_crossentropy"
    labels, checked = (
        part.labels if is_sparse else np.eye(10, dtype=np.float32)[part.labels]
        for part in (data.train, data.validation)
    )
    images, validation = (data.scaling.apply(part.images) for part in (data.train, data.validation))
    expected = []
    for epoch in (1, 2, 3):
        order = epoch_order(len(images), cfg.training.seed, epoch, shuffle=True)
        history = stock.fit(
            images[order],
            labels[order],
            batch_size=16,
            shuffle=False,
            validation_data=(validation, checked),
            class_weight=class_weight,
            verbose=0,
        ).history
        expected.append({name: values[0] for name, values in history.items()})
    rates = [cfg.optimizer.learning_rate] * network.steps_per_epoch
    found = [network.run_epoch(epoch, rates) for epoch in range(3)]
    for ours, keras_own in zip(found, expected, strict=True):
        ours = {name: ours[name] for name in keras_own}
        assert ours == pytest.approx(keras_own, rel=2e-3, abs=2e-3)
    np.testing.assert_allclose(network.probabilities(data.validation), stock(validation), atol=2e-3)


@pytest.mark.parametrize(
    ("overrides", "loss"),
    [
        ((), keras.losses.CategoricalCrossentropy(reduction=None)),
        (
            ("training.label_smoothing=0.2",),
            keras.losses.CategoricalCrossentropy(label_smoothing=0.2, reduction=None),
        ),
        (("training.loss=kl_divergence",), keras.losses.KLDivergence(reduction=None)),
        (
            ("training.loss=tests.training.own_parts:Squared", "data.labels=one_hot"),
            keras.losses.MeanSquaredError(reduction=None),
        ),
    ],
    ids=["cross-entropy", "smoothed", "divergence", "own"],
)
def test_mixed_labels_are_measured_as_keras_does(
    configured: Configured, overrides: tuple[str, ...], loss: Any
) -> None:
    """A mixed label has the weight of its classes' mixture, and its largest share is the correct class."""
    mixed = ("augment.mixup=0.4", "training.class_weight={0:3,7:0.5}", "model.normalization.kind=none")
    network = network_of(configured(*mixed, *overrides))
    images, stock = network.prepared.train.images[:16], network.stock()
    labels = np.random.default_rng(0).dirichlet(np.ones(10), 16).astype(np.float32)
    scaled = network.prepared.scaling.apply(images)
    expected = loss(labels, stock(scaled)).numpy() * (labels @ [3, 1, 1, 1, 1, 1, 1, 0.5, 1, 1])
    accuracy = keras.metrics.CategoricalAccuracy()(labels, stock(scaled))
    numbers = _numbers(network.prepared.scaling, images.shape)
    batch = tf.constant(images), tf.constant(labels)
    measured = network.program._measure(*batch, *numbers, training=True)
    np.testing.assert_allclose(measured[1], expected, rtol=1e-5)
    assert float(np.mean(measured[2])) == pytest.approx(float(accuracy))


@pytest.mark.parametrize("numbers", [1, 3])
def test_images_are_scaled_bit_by_bit_as_numpy_does(numbers: int) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    scaling = Scaling(*(tuple(generator.normal(size=numbers)) for _ in range(2)))
    scaled = _scaled(tf.constant(images), *_numbers(scaling, images.shape))
    np.testing.assert_array_equal(scaled, scaling.apply(images))


def test_probabilities_of_an_evaluation_are_those_of_predictions(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several graph calls, and with a last batch that is smaller."""
    network = network_of(configured("training.batch_size=16", "training.deterministic=true"))
    part, scaling = network.prepared.validation, network.prepared.scaling
    batches: list[np.ndarray] = []
    monkeypatch.setattr("kerasweep.training.program.MAX_EVALUATED", 0)
    monkeypatch.setattr(Pace, "steps", lambda pace: 2)
    measured = network.program.evaluate(feed_of(part), scaling, 16, None, batches)
    assert len(batches) > 1 and len(part) % 16 > 0
    np.testing.assert_array_equal(np.concatenate(batches), network.probabilities(part))
    assert measured == network.program.evaluate(feed_of(part), scaling, 16)


def test_a_loss_of_the_whole_batch_is_refused(configured: Configured) -> None:
    network = network_of(configured("training.loss=tests.training.own_parts:total"))
    with pytest.raises(ConfigError) as error:
        network.evaluate(network.prepared.validation)
    assert str(error.value) == (
        "training.loss=tests.training.own_parts:total must return one loss an image, of shape (b,), but it "
        "returned the shape (). Leave out the mean over the batch: kerasweep takes it."
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_loss", "must return one loss an image, of shape (b,), but it returned nothing. End"),
        ("ScaledLoss", "is called without arguments: missing a required argument: 'factor'. Give"),
    ],
)
def test_what_is_no_loss_is_refused(configured: Configured, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        network = network_of(configured(f"training.loss=tests.training.own_parts:{name}"))
        network.evaluate(network.prepared.validation)
    assert str(error.value).startswith(f"training.loss=tests.training.own_parts:{name} {said}")


def test_the_first_half_adds_its_sums(configured: Configured) -> None:
    """Over several graph calls, with penalties, and with a last batch of one image."""
    cfg = configured("training.batch_size=16", "regularizer=l2", "regularizer.strength=0.01")
    network = network_of(cfg)
    part, scaling = network.prepared.validation, network.prepared.scaling
    half = np.arange(len(part)) % 3 == 0
    first, second = (Part(part.images[each], part.labels[each]) for each in (half, ~half))
    found = network.evaluate(part, half)
    for name, whole in network.evaluate(part).items():
        assert found[name] == whole
        parts = [network.program.evaluate(feed_of(each), scaling, 16)[name] for each in (first, second)]
        assert found[f"{name}_a"] * len(part) == pytest.approx(parts[0] * len(first), rel=1e-6)
        assert (found[name] - found[f"{name}_a"]) * len(part) == pytest.approx(
            parts[1] * len(second), rel=1e-6
        )


AUGMENTED = (
    *("training.batch_size=16", "training.deterministic=true", "augment=flip_crop"),
    "augment.crop_padding=1",
)


def test_trace_knows_the_single_channel(configured: Configured) -> None:
    """Otherwise Keras compiles the first convolution with XLA as a grouped one, at half the speed."""
    network = network_of(configured(*AUGMENTED))
    assert network.prepared.input_shape[-1] == 1
    graph = network.program._train.get_concrete_function().graph.as_graph_def()
    bodies = [function for function in graph.library.function if "body" in function.signature.name]
    operations = [node.op for function in bodies for node in function.node_def]
    assert operations.count("Conv2D") == 1


def test_xla_trains_the_same(configured: Configured) -> None:
    small = ("training.batch_size=16", "data.limit=100")
    plain, compiled = (trained(configured(*small, f"training.jit_compile={xla}")) for xla in (False, True))
    for one, other in zip(plain, compiled, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=0.02)


def test_number_of_calls_an_epoch_changes_no_bit(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = configured(*AUGMENTED)
    histories = []
    for steps in (1, 3, 100):
        monkeypatch.setattr(Pace, "steps", lambda pace, steps=steps: steps)
        histories.append(trained(cfg))
    assert histories[0] == histories[1] == histories[2]


def test_streamed_images_train_as_those_in_memory(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = configured(*AUGMENTED)
    monkeypatch.setattr("kerasweep.data.feeds.STREAMED_BYTES", 3 * 16 * 64)
    assert trained(cfg, feed=Streamed(read_data(cfg).train)) == trained(cfg)


def test_without_reuse_networks_share_no_program(configured: Configured) -> None:
    cfg = configured("training.reuse_programs=false")
    first, second = network_of(cfg), network_of(cfg)
    assert first.program is not second.program and first.graph is None


def test_cleared_cache_frees_its_programs(configured: Configured) -> None:
    cfg = configured(*AUGMENTED)
    network = network_of(cfg)
    trained(cfg, epochs=1)
    network.evaluate(network.prepared.validation)
    gone = [weakref.ref(network.program), weakref.ref(network.model.layers[0])]
    del network
    PROGRAMS.clear()
    assert [reference() for reference in gone] == [None, None]


@pytest.mark.parametrize("batch_size", [7, 200])
def test_predictions_take_the_batches_of_evaluations(batch_size: int, configured: Configured) -> None:
    """After a training with small batches they take no more calls."""
    network = network_of(configured(f"training.batch_size={batch_size}"))
    program, images = network.program, network.prepared.validation
    predict, sizes = program._predict, []

    def counted(batch: Any, *numbers: Any) -> Any:
        sizes.append(len(batch))
        return predict(batch, *numbers)

    program._predict = counted
    try:
        probabilities = network.probabilities(images)
    finally:
        program._predict = predict
    assert sizes == [len(images)] == [len(probabilities)]
