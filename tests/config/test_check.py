"""Each rule between keys refuses configurations that break it, with its message."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from kerasweep.config import check
from kerasweep.errors import ConfigError
from kerasweep.search.journal import open_study
from tests.compositions import compose_train

NAN = "nan"
GROUPS = {folder.name for folder in (Path(__file__).parents[2] / "conf").iterdir()}


SOURCES = "digits, cifar10, cifar100, fashion_mnist, mnist, image_folder, table, hugging_face, npz, custom"
SENTENCES = [
    (
        "sampler=qmc study.learn_from=[first-0a1b2c3d]",
        "study.learn_from shows the sampler the trials of other sweeps, but sampler=qmc cannot learn from "
        "them. Add sampler=tpe, or leave them out.",
    ),
    (
        "pruner=wilcoxon study.repeats=3",
        "pruner=wilcoxon compares the seeds of a trial, and with study.repeats=3 it could never decide. "
        "Set study.repeats=4 or more, or use a pruner of epochs, as in pruner=asha.",
    ),
    (
        "pruner=wilcoxon study.repeats=4 pruner.p_threshold=0.125",
        "pruner=wilcoxon could never decide: before the last of 4 seeds its p-value is at least "
        "0.125, and pruner.p_threshold is 0.125. Set study.repeats=5 or more, or a larger threshold.",
    ),
    (
        "pruner=wilcoxon study.repeats=5 pruner.p_threshold=0.01",
        "pruner=wilcoxon could never decide: before the last of 5 seeds its p-value is at least "
        "0.0625, and pruner.p_threshold is 0.01. Set study.repeats=8 or more, or a larger threshold.",
    ),
    (
        "pruner=wilcoxon study.repeats=4 pruner.p_threshold=1.0",
        "pruner.p_threshold must be above 0 and below 1, but got 1.0.",
    ),
    (
        "pruner=wilcoxon study.repeats=4 pruner.p_threshold=0.0",
        "pruner.p_threshold must be above 0 and below 1, but got 0.0.",
    ),
    ("pruner=wilcoxon study.repeats=4 pruner.n_startup_steps=1", "pruner.n_startup_steps must be at least 2"),
    (
        "pruner=wilcoxon study.repeats=4 pruner.n_startup_steps=4",
        "pruner=wilcoxon could never decide: it waits for pruner.n_startup_steps=4 seeds, "
        "and a stop after the last of study.repeats=4 saves nothing. "
        "Set study.repeats=5 or more, or fewer steps.",
    ),
    (
        "pruner=wilcoxon study.repeats=4 pruner.n_startup_steps=9",
        "pruner=wilcoxon could never decide: it waits for pruner.n_startup_steps=9 seeds, "
        "and a stop after the last of study.repeats=4 saves nothing. "
        "Set study.repeats=10 or more, or fewer steps.",
    ),
    *(
        (
            f"pruner={name} objective=[{{metric:parameters,direction:minimize}}]{more}",
            f"pruner={name} compares epochs, but parameters is not measured after each",
        )
        for name, more in (
            ("median", ""),
            ("hyperband", ""),
            ("patient", ""),
            ("threshold", " pruner.lower=1.0"),
        )
    ),
    (
        "pruner=asha objective=[{metric:seconds,direction:minimize}]",
        "pruner=asha compares epochs, but seconds is not measured after each. "
        "Use pruner=none, or an objective of val_accuracy, val_loss, accuracy, loss, "
        "val_f1_macro, val_balanced_accuracy, val_top_5_accuracy, val_auc, val_calibration_error, "
        "val_log_loss.",
    ),
    (
        "pruner=threshold",
        "pruner=threshold needs a bound. Set pruner.lower or pruner.upper, as in pruner.lower=0.5.",
    ),
    (
        "pruner=threshold pruner.lower=0.5 pruner.upper=0.5",
        "pruner.lower must be below pruner.upper, but got 0.5 and 0.5.",
    ),
    *(
        (f"workers={given}", f"workers must be auto or a number from 1 up, but got {shown}.")
        for given, shown in (("0", "0"), ("true", "True"), ("many", "many"), ("1.5", "1.5"), ("null", "None"))
    ),
    (
        "training.early_stopping.monitor=val_acc",
        "training.early_stopping.monitor must be one of val_accuracy, val_loss, accuracy, loss, "
        "val_f1_macro, val_balanced_accuracy, val_top_5_accuracy, val_auc, val_calibration_error, "
        "val_log_loss, but got val_acc.",
    ),
    ("training.checkpoint.monitor=x", "training.checkpoint.monitor must be one of val_accuracy, val_loss,"),
    ("schedule=plateau schedule.monitor=lr", "schedule.monitor must be one of val_accuracy, val_loss,"),
    (
        "data.image_size=[32]",
        "data.image_size must be a height and a width, but got [32]. Write it as in data.image_size=[32,32].",
    ),
    (
        "data.image_size=[32,0]",
        "data.image_size must be a height and a width, but got [32, 0]. Write it as in "
        "data.image_size=[32,32].",
    ),
    (
        "data.image_size=[32,32]",
        "data.image_size resizes image files, but data=digits has one size. Leave it out.",
    ),
    (
        "data.resize=zoom",
        "data.resize must be one of stretch, pad, crop, but got zoom.",
    ),
    (
        "data.resize=pad",
        "data.resize=pad needs a size. Add it, as in data.image_size=[64,64], or leave it out.",
    ),
    (
        "data.skip_corrupt=true",
        "data.skip_corrupt leaves out image files, but data=digits has none. Leave it out.",
    ),
    *(
        (f"data.{name}=x", f"data.{name} names a column of a table, but data=digits has none. Leave it out.")
        for name in ("image_column", "label_column", "split_column")
    ),
    ("data.target=a:b", "data.target is for data=custom, but data.source is digits."),
    ("model.target=a:b", "model.target is for model=custom. Add model=custom, or leave model.target out."),
    (
        "model.filters=[]",
        "model.filters needs at least one block of one filter or more, but got []. Give one "
        "number per block, as in model.filters=[32,64].",
    ),
    (
        "model.filters=[8,0]",
        "model.filters needs at least one block of one filter or more, but got [8, 0]. Give one "
        "number per block, as in model.filters=[32,64].",
    ),
    ("model.dense_units=[8,0]", "model.dense_units must all be at least 1, but got [8, 0]."),
    (
        "regularizer.strength=0.1",
        "regularizer.strength=0.1 has nothing to act on with regularizer=none. Choose "
        "regularizer=l1, l2 or l1_l2, or leave the strength out.",
    ),
    ("regularizer=l2 regularizer.strength=null", "regularizer=l2 needs a regularizer.strength, as in 1e-4."),
    (
        "optimizer=sgd optimizer.nesterov=true optimizer.momentum=0",
        "optimizer.nesterov=true needs a momentum, but optimizer.momentum is 0. Set it, as in 0.9.",
    ),
    (
        "schedule=step schedule.boundaries=[]",
        "schedule.boundaries must be rising shares of the training between 0 and 1, but got []. "
        "Write them as in schedule.boundaries=[0.5,0.75].",
    ),
    (
        "schedule=step schedule.boundaries=[0.75,0.5]",
        "schedule.boundaries must be rising shares of the training between 0 and 1, but got "
        "[0.75, 0.5]. Write them as in schedule.boundaries=[0.5,0.75].",
    ),
    ("schedule=step schedule.boundaries=[0.5,0.5]", "schedule.boundaries must be rising shares"),
    ("schedule=step schedule.boundaries=[0.5,1.0]", "schedule.boundaries must be rising shares"),
    ("objective=[]", "objective needs a metric, as in objective=[{metric:val_loss,direction:minimize}]."),
    (
        "objective=[{metric:speed,direction:maximize}]",
        "objective.metric must be one of val_accuracy, val_loss, accuracy, loss, val_f1_macro, "
        "val_balanced_accuracy, val_top_5_accuracy, val_auc, val_calibration_error, val_log_loss, "
        "parameters, seconds, cpu_seconds, flops, latency_ms, but got speed.",
    ),
    (
        "training.metrics=[f1]",
        "training.metrics must be one of f1_macro, balanced_accuracy, top_5_accuracy, auc, "
        "calibration_error, log_loss, but got f1.",
    ),
    (
        "training.callbacks=[EarlyStopping]",
        "training.callbacks names functions as package.module:function, but got EarlyStopping. The function "
        "is called without arguments and returns a keras.callbacks.Callback.",
    ),
    (
        "training.loss=focal",
        "training.loss must be one of crossentropy, categorical_focal_crossentropy, kl_divergence, "
        "mean_squared_error, mean_absolute_error, categorical_hinge, squared_hinge, package.module:function, "
        "but got focal.",
    ),
    ("training.label_smoothing=1", "training.label_smoothing must be at least 0 and below 1, but got 1.0."),
    (
        "training.loss=mine:focal augment.mixup=0.2",
        "augment.mixup mixes labels, but training.loss=mine:focal gets numbers of classes. Add "
        "data.labels=one_hot, or leave augment.mixup out.",
    ),
    (
        "training.loss=mine:focal training.label_smoothing=0.1",
        "training.label_smoothing is for Keras's losses, but training.loss is mine:focal. Smooth there, or "
        "leave it out.",
    ),
    *(
        (
            f"training.class_weight={given}",
            "training.class_weight must be balanced, or give classes numbers of at least 0, but got "
            f"{shown}. Write it as in training.class_weight={{0:1,1:2.5}}.",
        )
        for given, shown in (
            ("even", "even"),
            ("{}", "{}"),
            ("{0:-1}", "{0: -1}"),
            ("{0:a}", "{0: 'a'}"),
            ("[1,2]", "[1, 2]"),
        )
    ),
    ("model.from_logits=true", "model.from_logits is for model=custom: the other networks end in a softmax."),
    (
        "objective=[{metric:loss,direction:up}]",
        "objective.direction must be one of maximize, minimize, but got up.",
    ),
    (
        "objective=[{metric:loss,direction:minimize},{metric:loss,direction:maximize}]",
        "objective names a metric twice: loss, loss.",
    ),
    (
        "experiment=accuracy_and_size pruner=median",
        "pruner=median compares one value, but there are 2 objectives. Use pruner=none.",
    ),
    (
        "experiment=accuracy_and_size budget.target=0.9",
        "budget.target and budget.patience follow one objective, but there are 2. Use "
        "budget.hours or study.trials.",
    ),
    (
        "experiment=accuracy_and_size budget.patience=3",
        "budget.target and budget.patience follow one objective, but there are 2. Use "
        "budget.hours or study.trials.",
    ),
]
NAMES = [
    ("data.source=imagenet", f"data.source must be one of {SOURCES}, but got imagenet."),
    ("data.scaling=max", "data.scaling must be one of none, min_max, z_score, but got max."),
    ("data.labels=dense", "data.labels must be one of sparse, one_hot, but got dense."),
    ("model.architecture=rnn", "model.architecture must be one of cnn, custom, backbone, but got rnn."),
    ("model.padding=full", "model.padding must be one of same, valid, but got full."),
    ("model.activation=relu7", "model.activation must be one of relu, leaky_relu, "),
    ("model.downsampling=mean", "model.downsampling must be one of max, average, stride, but got mean."),
    ("model.head=attention", "model.head must be one of flatten, global_average, but got attention."),
    ("model.normalization.kind=layer", "model.normalization.kind must be one of none, batch, but got layer."),
    ("model.normalization.position=first", "model.normalization.position must be one of before_activation, "),
    (
        "model.normalization.moving_statistics=no",
        "model.normalization.moving_statistics must be one of warmup, ",
    ),
    ("initializer.name=ones", "initializer.name must be one of zeros, constant, random_normal, "),
    ("regularizer.name=l3", "regularizer.name must be one of none, l1, l2, l1_l2, but got l3."),
    ("regularizer.on=bias", "regularizer.on must be one of conv, dense, both, but got bias."),
    ("optimizer.name=lion", "optimizer.name must be one of sgd, adam, adamw, rmsprop, custom, "),
    ("schedule.name=linear", "schedule.name must be one of constant, plateau, cosine, "),
    ("training.precision=float64", "training.precision must be one of float32, mixed_float16, "),
    (
        "sampler.name=best",
        "sampler.name must be one of grid, random, tpe, qmc, cmaes, nsga2, custom, but got best.",
    ),
    (
        "pruner.name=hard",
        "pruner.name must be one of none, median, asha, hyperband, wilcoxon, patient, threshold, custom, "
        "but got hard.",
    ),
    ("storage.name=redis", "storage.name must be one of journal, rdb, but got redis."),
    ("storage.url=sqlite:///a.db", "storage.url is for storage=rdb. Add it, or leave storage.url out."),
    (
        "storage=rdb storage.url=mysql://host/a",
        "the database of storage.url must be one of postgresql, sqlite, but got mysql.",
    ),
    ("storage=rdb", "storage=rdb needs storage.url, as in postgresql+psycopg://USER@HOST/DATABASE."),
    ("trial.gpus=1.5", "trial.gpus must be whole above 1, as Ray demands, but got 1.5."),
]
# group, key, the last value that is refused, what must hold, a value that is allowed
BOUNDS = [
    ("", "study.repeats", "0", "at least 1", "1"),
    ("", "budget.max_parameters", "0", "at least 1", "1"),
    ("", "trial.timeout_seconds", "0.0", "above 0", "0.1"),
    ("", "trial.timeout_seconds", NAN, "above 0", "1e9"),
    ("", "trial.memory_mb", "0", "at least 1", "1"),
    ("", "trial.recycle_mb", "-1", "at least 1", "1"),
    ("", "trial.cpus", "0.0", "above 0", "0.5"),
    ("", "trial.gpus", "-1.0", "at least 0", "0.5"),
    ("pruner=patient", "pruner.patience", "0", "at least 1", "1"),
    ("pruner=patient", "pruner.min_delta", "-0.1", "at least 0", "0.0"),
    ("pruner=hyperband", "pruner.reduction_factor", "1", "at least 2", "2"),
    ("", "data.validation_split", "0.0", "above 0 and below 1", "0.01"),
    ("", "data.validation_split", "1.0", "above 0 and below 1", "0.99"),
    ("", "data.validation_split", NAN, "above 0 and below 1", "0.5"),
    ("", "data.test_split", "0.0", "above 0 and below 1", "0.01"),
    ("", "data.test_split", "1.0", "above 0 and below 1", "0.99"),
    ("", "data.seed", "-1", "at least 0", "0"),
    ("", "data.limit", "1", "at least 2", "2"),
    ("", "augment.crop_padding", "-1", "at least 0", "0"),
    ("", "augment.rotation", "0.6", "at least 0 and at most 0.5", "0.5"),
    ("", "augment.zoom", "1.0", "at least 0 and below 1", "0.99"),
    ("", "augment.brightness", "-0.1", "at least 0 and at most 1", "1.0"),
    ("", "augment.contrast", "1.1", "at least 0 and at most 1", "1.0"),
    ("", "augment.cutout", "1.1", "at least 0 and at most 1", "1.0"),
    ("", "augment.mixup", NAN, "at least 0 and at most 100", "100.0"),
    ("", "model.convs_per_block", "0", "at least 1", "1"),
    ("", "model.kernel_size", "0", "at least 1", "1"),
    ("", "model.dropout", "-0.1", "at least 0 and below 1", "0.0"),
    ("", "model.dropout", "1.0", "at least 0 and below 1", "0.99"),
    ("", "model.dense_dropout", "1.0", "at least 0 and below 1", "0.0"),
    ("", "model.normalization.momentum", "1.0", "at least 0 and below 1", "0.0"),
    ("", "model.normalization.epsilon", "0.0", "above 0", "1e-9"),
    ("initializer=random_normal", "initializer.stddev", "0.0", "above 0", "0.1"),
    ("regularizer=l1", "regularizer.strength", "-0.1", "at least 0", "0.0"),
    ("regularizer=l1", "regularizer.strength", NAN, "at least 0", "1e-4"),
    ("", "optimizer.learning_rate", "0.0", "above 0", "1e-9"),
    ("", "optimizer.learning_rate", NAN, "above 0", "1.0"),
    ("", "optimizer.clipnorm", "0.0", "above 0", "1.0"),
    ("optimizer=sgd", "optimizer.momentum", "1.1", "at least 0 and at most 1", "1.0"),
    ("optimizer=rmsprop", "optimizer.momentum", "-0.1", "at least 0 and at most 1", "0.0"),
    ("optimizer=rmsprop", "optimizer.rho", "1.0", "at least 0 and below 1", "0.0"),
    ("", "optimizer.beta_1", "1.0", "at least 0 and below 1", "0.0"),
    ("", "optimizer.beta_2", "1.0", "at least 0 and below 1", "0.0"),
    ("optimizer=adamw", "optimizer.weight_decay", "-0.1", "at least 0", "0.0"),
    ("schedule=plateau", "schedule.patience", "0", "at least 1", "1"),
    ("schedule=plateau", "schedule.min_lr", "-0.1", "at least 0", "0.0"),
    ("schedule=plateau", "schedule.factor", "1.0", "above 0 and below 1", "0.5"),
    ("schedule=step", "schedule.factor", "0.0", "above 0 and below 1", "0.5"),
    ("schedule=cosine", "schedule.alpha", "1.1", "at least 0 and at most 1", "1.0"),
    ("schedule=warmup_cosine", "schedule.alpha", "-0.1", "at least 0 and at most 1", "0.0"),
    ("schedule=warmup_cosine", "schedule.warmup_epochs", "-1.0", "at least 0", "0.0"),
    ("schedule=exponential", "schedule.decay_rate", "0.0", "above 0 and at most 1", "1.0"),
    ("", "training.epochs", "0", "at least 1", "1"),
    ("", "training.batch_size", "0", "at least 1", "1"),
    ("", "training.seed", "-1", "at least 0 and below 4.29497e+09", "0"),
    ("", "training.seed", "4294967296", "at least 0 and below 4.29497e+09", "4294967295"),
    ("", "training.early_stopping.patience", "-1", "at least 0", "0"),
    ("", "training.early_stopping.min_delta", "-0.1", "at least 0", "0.0"),
    ("", "sampler.seed", "4294967296", "at least 0 and below 4.29497e+09", "4294967295"),
    ("", "study.trials", "0", "at least 1", "1"),
    ("", "budget.hours", "0.0", "above 0", "0.1"),
    ("", "budget.patience", "0", "at least 1", "1"),
]


def train(*overrides: str) -> DictConfig:
    """Composes the groups and sets plain values in the copy, since a hundred compositions are slow."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [one for one in parsed if one.key_or_group not in GROUPS]
    cfg = compose_train(*(str(one.input_line) for one in parsed if one not in values))
    for one in values:
        OmegaConf.update(cfg, one.key_or_group, one.value())
    return cfg


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        check(train(*overrides))
    return str(refused.value)


@pytest.mark.parametrize(("overrides", "message"), SENTENCES + NAMES)
def test_broken_rule_is_refused(overrides: str, message: str) -> None:
    sentence = refusal(*overrides.split())
    assert sentence == message if message.endswith(".") else sentence.startswith(message)


@pytest.mark.parametrize(("group", "key", "refused", "bounds", "allowed"), BOUNDS)
def test_number_out_of_bounds_is_refused_and_the_border_is_allowed(
    group: str, key: str, refused: str, bounds: str, allowed: str
) -> None:
    chosen = [group] if group else []
    assert refusal(*chosen, f"{key}={refused}") == f"{key} must be {bounds}, but got {refused}."
    check(train(*chosen, f"{key}={allowed}"))


@pytest.mark.parametrize(
    ("name", "length"), [("가" * 100, 300), ("가" * 61, 183), ("𐍈" * 46, 184), ("a" * 19 + "é" * 81, 181)]
)
def test_name_of_too_many_bytes_is_refused(name: str, length: int) -> None:
    cfg = train()
    cfg.study.name = name
    with pytest.raises(ConfigError) as refused:
        check(cfg)
    assert str(refused.value) == (
        f"study.name is part of file names and may take 180 bytes, but {name!r} takes {length} as UTF-8. "
        "Choose a shorter one, such as filter_size."
    )


@pytest.mark.parametrize("name", ["a" * 100, "가" * 60, "𐍈" * 45], ids=len)
def test_name_that_fits_into_file_names_is_allowed(name: str, tmp_path: Path) -> None:
    cfg = train()
    cfg.study.name = name
    check(cfg)
    open_study(tmp_path / f"{name}-01234567-999.journal", name, ["maximize"])


@pytest.mark.parametrize(
    "overrides",
    [
        "pruner=wilcoxon study.repeats=4",
        "pruner=wilcoxon study.repeats=4 pruner.n_startup_steps=3",
        "pruner=wilcoxon study.repeats=5 pruner.p_threshold=0.1",
        "pruner=wilcoxon study.repeats=4 objective=[{metric:seconds,direction:minimize}]",
        "pruner=threshold pruner.lower=0.2 pruner.upper=0.9",
        "pruner=threshold pruner.upper=0.9",
        "workers=auto",
        "workers=3",
    ],
)
def test_pruner_that_can_decide_is_allowed(overrides: str) -> None:
    check(train(*overrides.split()))


def test_shape_of_a_custom_model_is_not_checked() -> None:
    check(train("model=custom", "model.target=a:b", "model.filters=[]"))


def test_check_leaves_the_configuration_as_it_was() -> None:
    cfg, other = train(), train()
    check(cfg)
    check(cfg)
    assert cfg == other
