"""A trial's configuration equals Hydra's composition of its overrides."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.samplers import RandomSampler

from kerasweep.errors import ConfigError
from kerasweep.multirun.composer import Composer, make_composer, without_hydra
from kerasweep.multirun.question import Question

Ask = Callable[..., Question]
COMMANDS = {
    "quickstart": [],
    "filter_size": ["study=filter_size"],
    "full_search": ["study=full_search", "data.limit=200"],
    "lists, null, mappings and a new key": [
        "model.filters=[8],[8,16]",
        "model.dense_units=[],[32]",
        "data.limit=null,200",
        "model.kwargs={a:1},{b:[1,2]}",
        "training.shuffle=true,false",
        "model.normalization.kind=none,batch",
        "+data.kwargs.width=1,2",
    ],
    "groups and their keys": [
        "sampler=random",
        "optimizer=sgd,rmsprop",
        "optimizer.momentum=range(0.0,1.0,0.3)",
        "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))",
        "schedule=cosine,warmup_cosine",
        "model=cnn,strided,vgg_small",
        "model.dropout=0.25,0.5",
        "regularizer.strength=1e-4,1e-2",
        "regularizer=l1,l2",
    ],
    "strength fixed before the group is swept": ["regularizer.strength=0.003", "regularizer=l1,l2"],
    "strength swept before its group is fixed": ["regularizer.strength=1e-4,1e-2", "regularizer=l2"],
    "an experiment": ["experiment=cifar10_vgg", "regularizer=none,l1", "training.epochs=1,2"],
}


@pytest.fixture
def composer_of(context: HydraContext, ask: Ask) -> Callable[..., Composer]:
    def build(*arguments: str) -> Composer:
        question = ask(*arguments)
        return make_composer(context, question.master, question.fixed, question.space)

    return build


def by_hydra(composer: Composer, overrides: list[str]) -> DictConfig:
    return composer.context.config_loader.load_sweep_config(composer.master, overrides)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_composes_like_hydra(arguments: list[str], composer_of: Callable[..., Composer]) -> None:
    composer = composer_of(*arguments)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(2):
        params = composer.space.suggest(study.ask())
        expected = by_hydra(composer, composer.overrides(params))
        assert OmegaConf.to_yaml(composer.job_config(params)) == OmegaConf.to_yaml(expected)
        assert composer.compose(params) == without_hydra(expected)
        choices, ours = expected.hydra.runtime.choices, composer.choices(params)
        assert ours == {key: str(value) for key, value in choices.items() if key in ours}


def test_trials_do_not_change_later_compositions(composer_of: Callable[..., Composer]) -> None:
    composer = composer_of("regularizer=none,l2", "model.filters=[8],[8,16]", "model.dropout=0.0,0.5")
    plain = {"regularizer": "none", "model.filters": "[8]"}
    first = composer.compose(plain)
    other = composer.compose({"regularizer": "l2", "model.filters": "[8,16]", "model.dropout": 0.5})
    other.model.filters.append(1)
    assert composer.compose(plain) == first
    assert first.model.filters == [8] and first.model.dropout == 0.0


def test_composition_is_closed_to_new_keys(composer_of: Callable[..., Composer]) -> None:
    cfg = composer_of("model.kernel_size=3,5").compose({"model.kernel_size": 5})
    assert OmegaConf.is_struct(cfg) and "hydra" not in cfg


def test_group_without_a_choice_is_named(composer_of: Callable[..., Composer]) -> None:
    composer = composer_of("optimizer=???", "model.kernel_size=3,5")
    with pytest.raises(ConfigError) as refused:
        composer.compose({"model.kernel_size": 3})
    assert str(refused.value) == (
        "The configuration cannot be composed: You must specify 'optimizer', e.g, optimizer=<OPTION>"
    )


def test_overrides_give_groups_before_their_keys(composer_of: Callable[..., Composer]) -> None:
    composer = composer_of("study=full_search", "data.limit=200")
    params = {"model.kernel_size": 5, "regularizer.strength": 1e-4, "regularizer": "l2"}
    assert composer.overrides(params) == [
        "study=full_search",
        "data.limit=200",
        "regularizer=l2",
        "model.kernel_size=5",
        "regularizer.strength=0.0001",
    ]


@pytest.mark.parametrize(
    ("arguments", "params", "message"),
    [
        (
            ["optimizer=adam,sgd", "optimizer.momentum=0.5,0.9"],
            {"optimizer": "adam", "optimizer.momentum": 0.5},
            "optimizer.momentum=0.5 does not fit: Key 'momentum' not in 'AdamConf'",
        ),
        (
            ["optimizer=adam,sgd", "optimizer.beta_1=0.8", "model.kernel_size=3,5"],
            {"optimizer": "sgd", "model.kernel_size": 3},
            "optimizer=sgd cannot be composed: The chosen optimizer has no beta_1",
        ),
        (
            ["model.kernel_size=3,wide"],
            {"model.kernel_size": "wide"},
            "model.kernel_size=wide does not fit: Value 'wide' of type 'str' could not be converted",
        ),
        (
            ["+model.kernel_size=3,5"],
            {"+model.kernel_size": 3},
            "+model.kernel_size would add a key that is there already. Sweep model.kernel_size, without",
        ),
    ],
)
def test_impossible_combination_is_named(
    arguments: list[str], params: dict[str, Any], message: str, composer_of: Callable[..., Composer]
) -> None:
    composer = composer_of(*arguments)
    for _ in range(2):
        with pytest.raises(ConfigError) as refused:
            composer.compose(params)
        assert str(refused.value).startswith(message)
        assert "\n" not in str(refused.value)
