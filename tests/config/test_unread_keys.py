"""A key that nothing reads is refused, with or without a plus."""

import pytest
from omegaconf import OmegaConf

from kerasweep.config import check
from kerasweep.config.unread_keys import check_command
from kerasweep.errors import ConfigError
from tests.compositions import compose_train


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "+model.foo=3",
            "Nothing reads model.foo: the chosen model has no foo. It has architecture, filters, ",
        ),
        (
            "+optimizer.momentum=0.9",
            "the chosen optimizer has no momentum. It has name, learning_rate, clipnorm",
        ),
        (
            "+optimizer.learning_rat=1",
            "the chosen optimizer has no learning_rat. Did you mean learning_rate?",
        ),
        ("+optimizer._target_=keras.optimizers.Lion", "Nothing reads optimizer._target_"),
        ("+training.optimizer=[]", "Nothing reads training.optimizer"),
        ("+training.early_stopping.wait=2", "Nothing reads training.early_stopping.wait"),
        ("+study.foo=2", "Nothing reads study.foo"),
        ("model.kwargs.width=3", "model.kwargs is for model=custom and model=backbone: nothing reads width."),
        ("data.kwargs.path=a", "data.kwargs is for data=custom: nothing reads path."),
        ("model.kwargs=3", "model.kwargs must name keyword arguments, but got 3."),
        ("data.kwargs=null", "data.kwargs must name keyword arguments, but got None."),
    ],
)
def test_a_key_that_nothing_reads_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(compose_train(override))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=custom", "model.target=nets:small", "model.kwargs.width=3"),
        ("model=custom", "model.target=nets:small", "+model.kwargs.deep.er=3"),
        ("data=custom", "data.target=sets:small", "data.kwargs.path=a"),
        ("trial.target=mine:train", "model.kwargs.width=3", "data.kwargs.path=a"),
        ("tracking.tags.owner=me",),
        ("optimizer=sgd", "optimizer.momentum=0.5"),
        ("study.space={model.kernel_size:'3,5'}", "study.nuisance={optimizer.learning_rate:'1,2'}"),
    ],
)
def test_open_mappings_take_any_key_without_a_plus(overrides: tuple[str, ...]) -> None:
    check(compose_train(*overrides))


@pytest.mark.parametrize("key", ["model.foo", "training.early_stopping.wait", "optimizer._target_", "data.x"])
def test_a_users_training_function_reads_added_keys_of_a_run(key: str) -> None:
    check(compose_train(f"+{key}=3", "trial.target=mine:train"))


@pytest.mark.parametrize("key", ["study.repeat", "trial.timeout", "sampler.foo", "tracking.tag"])
def test_a_users_training_function_leaves_the_sweeps_keys_to_the_sweep(key: str) -> None:
    with pytest.raises(ConfigError, match=f"Nothing reads {key}: "):
        check(compose_train(f"+{key}=3", "trial.target=mine:train"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("+learning_rate=2",), "Nothing reads learning_rate. Did you mean optimizer.learning_rate?"),
        (("+foo=2",), "Nothing reads foo. The keys at the top are data, augment, model, "),
        (("++sampler.foo=1",), "Nothing reads sampler.foo: "),
        (("data.path=photos",), "data.path=photos is not read: data=digits comes with its package."),
    ],
)
def test_what_no_trial_reads_is_refused(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_command(compose_train(*overrides), OmegaConf.create({}))
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("overrides", "hydra"),
    [
        (("+rate=0.5", "optimizer.learning_rate=${rate}"), ""),
        (("+rate=0.5", "optimizer.learning_rate=${ rate}"), ""),
        (("+rate=0.5", "optimizer.learning_rate=${oc.select:rate,0.1}"), ""),
        (("+rate=0.5", "optimizer.learning_rate=${..rate}"), ""),
        (("+tag=baseline",), "runs/${tag}"),
        (("+clip=3", "data.path=photos", "trial.target=mine:train"), ""),
        (("data.path=photos", "data=mnist"), ""),
    ],
)
def test_keys_that_a_value_or_a_users_function_may_read_pass(overrides: tuple[str, ...], hydra: str) -> None:
    check_command(compose_train(*overrides), OmegaConf.create({"run": {"dir": hydra}}))


def test_a_path_may_belong_to_one_of_several_kinds_of_data() -> None:
    check_command(compose_train("data.path=photos"), OmegaConf.create({}), are_data_swept=True)
