"""A study's constraints forbid configurations, and a constraint that makes no sense is refused."""

from collections.abc import Callable

import pytest

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan

pytestmark = pytest.mark.usefixtures("folder")


def trainable(made: Plan) -> list[dict[str, object]]:
    return [params for params in made.space.configurations() if made.refusal(params) is None]


def test_constraints_forbid_configurations_and_do_not_count(plan: Callable[..., Plan]) -> None:
    made = plan(
        "model.kernel_size=3,5,7",
        "optimizer=sgd,adam",
        "study.constraints=['model.kernel_size < 7','optimizer != \"sgd\" or model.kernel_size == 3']",
    )
    assert trainable(made) == [
        {"model.kernel_size": 3, "optimizer": "sgd"},
        {"model.kernel_size": 3, "optimizer": "adam"},
        {"model.kernel_size": 5, "optimizer": "adam"},
    ]
    assert made.open_sweep(fresh=False).total == 3
    reasons = {reason for _, reason in made.left_out()}
    assert reasons == {
        "study.constraints forbids it: model.kernel_size < 7",
        'study.constraints forbids it: optimizer != "sgd" or model.kernel_size == 3',
    }


def test_constraint_sees_fixed_keys_and_the_null_of_an_axis_that_does_not_apply(
    plan: Callable[..., Plan],
) -> None:
    made = plan(
        "study=full_search",
        "training.epochs=5",
        "study.constraints=['training.batch_size * training.epochs <= 160','regularizer.strength < 1e-4']",
    )
    of = {"model.kernel_size": 3, "initializer": "he_normal", "training.batch_size": 32}
    assert made.refusal({**of, "regularizer": "none"}) is None
    assert made.refusal({**of, "regularizer": "l2", "regularizer.strength": 1e-5}) is None
    assert made.refusal({**of, "regularizer": "l2", "regularizer.strength": 1e-3}) is not None
    assert made.refusal({**of, "regularizer": "none", "training.batch_size": 64}) is not None


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("model.kernel_sise < 7", "names model.kernel_sise, but there is no such key."),
        ("model.kernel_size < ", "cannot be read: invalid syntax."),
        ("model.kernel_size < optimizer", "fails with model.kernel_size=3, optimizer=adam"),
    ],
)
def test_constraint_that_cannot_be_evaluated_is_named(
    plan: Callable[..., Plan], constraint: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("model.kernel_size=3,5", f"study.constraints=['{constraint}']")
    assert f"study.constraints: '{constraint}'" in str(refused.value) and message in str(refused.value)


def test_constraint_that_fails_for_some_values_is_refused_before_any_trial(
    plan: Callable[..., Plan],
) -> None:
    axes = ("sampler=random", "optimizer.learning_rate=interval(0.1,0.2)", "optimizer=adam,sgd")
    with pytest.raises(ConfigError) as refused:
        plan(*axes, 'study.constraints=["optimizer.momentum < optimizer"]')
    assert str(refused.value).startswith(
        "study.constraints: 'optimizer.momentum < optimizer' fails with optimizer=sgd, optimizer.momentum="
    )
    guarded = "study.constraints=[\"optimizer == 'sgd' or optimizer.momentum < optimizer\"]"
    assert plan(*axes, guarded).open_sweep(fresh=False).total == 20


def test_constraint_names_an_added_key_without_its_plus(plan: Callable[..., Plan]) -> None:
    own = "trial.target=benchmarks.targets:instant"
    made = plan(own, "+model.kwargs.width=2,3,40", 'study.constraints=["model.kwargs.width < 40"]')
    assert trainable(made) == [{"+model.kwargs.width": 2}, {"+model.kwargs.width": 3}]


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_constraint_that_can_never_hold_is_refused(sampler: str, plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("model.kernel_size=3,5", f"sampler={sampler}", "study.constraints=['model.kernel_size > 7']")
    assert str(refused.value) == (
        "study.constraints: 'model.kernel_size > 7' must hold, but it is false for all values of the space: "
        "model.kernel_size is 3, 5. Correct it, or change the values."
    )


def test_constraint_that_can_never_fail_is_noted(plan: Callable[..., Plan]) -> None:
    rate = "optimizer.learning_rate=interval(0.001,0.1)"
    limit = "study.constraints=['optimizer.learning_rate < training.epochs']"
    assert plan("sampler=tpe", rate, limit).notes() == (
        "the constraint 'optimizer.learning_rate < training.epochs' forbids nothing: it is true for all "
        "values of the space, optimizer.learning_rate is 0.001 … 0.1; training.epochs is 10",
    )
    assert plan("sampler=tpe", rate, "study.constraints=['optimizer.learning_rate < 0.05']").notes() == ()


def test_constraint_on_keys_that_other_axes_decide_gets_no_note(plan: Callable[..., Plan]) -> None:
    for limit in ("optimizer.learning_rate < 1", "model.dense_dropout < 1"):
        made = plan(
            "optimizer=sgd,adam", "model.dense_dropout=${model.dropout}", f"study.constraints=['{limit}']"
        )
        assert made.notes() == ()
