"""A command with `-m` decides the study, the axes, the sampler and the fixed overrides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from kerasweep.errors import ConfigError
from kerasweep.multirun.composer import without_hydra
from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.question import Question, read_question

Ask = Callable[..., Question]
QUICKSTART = {"model.kernel_size", "training.batch_size", "regularizer", "initializer"}
FULL_SEARCH = QUICKSTART | {"regularizer.strength"}


def axes(question: Question) -> dict[str, list[Any] | None]:
    return {axis.key: axis.values() for axis in question.space.axes}


def test_no_axis_and_no_study_gives_quickstart_with_the_overrides(ask: Ask) -> None:
    question = ask("data.limit=100", "optimizer=sgd")
    assert question.master.study.name == "quickstart"
    assert question.master.sampler.name == "tpe"
    assert set(axes(question)) == QUICKSTART
    assert (question.master.data.limit, question.master.optimizer.name) == (100, "sgd")
    assert question.master.training.epochs == 3
    assert question.fixed == ["study=quickstart", "data.limit=100", "optimizer=sgd"]


def test_axes_alone_are_a_grid(ask: Ask) -> None:
    question = ask("model.kernel_size=3,5", "optimizer=adam,sgd", "data.limit=100")
    assert axes(question) == {"model.kernel_size": [3, 5], "optimizer": ["adam", "sgd"]}
    assert question.master.sampler.name == "grid"
    assert question.master.study.name is None
    assert question.master.data.limit == 100


def test_nuisance_axes_are_searched_unless_the_command_line_chooses(ask: Ask) -> None:
    """What is compared is a grid anyway, and an interval has none."""
    line = ("model.kernel_size=3,5", "study.nuisance={model.dropout:'interval(0.0,0.5)'}")
    assert ask(*line).master.sampler.name == "tpe"
    assert ask(*line, "sampler=random").master.sampler.name == "random"


def test_command_line_chooses_the_sampler_of_its_axes(ask: Ask) -> None:
    assert ask("model.kernel_size=3,5", "sampler=random").master.sampler.name == "random"
    assert ask("model.kernel_size=3,5", "sampler=tpe").master.sampler.name == "tpe"


def test_experiment_chooses_the_sampler_of_its_axes(ask: Ask) -> None:
    question = ask("experiment=accuracy_and_size", "model.kernel_size=3,5")
    assert question.master.sampler.name == "nsga2"


def test_study_chooses_its_axes_and_its_sampler(ask: Ask) -> None:
    question = ask("study=filter_size")
    assert axes(question) == {
        "model.kernel_size": [3, 5],
        "model.filters": ["[16,32]", "[16,32,64]"],
        "training.batch_size": [32, 64],
    }
    assert question.master.sampler.name == "grid"
    assert ask("study=full_search").master.sampler.name == "tpe"


def test_axis_of_the_command_line_wins_and_a_new_one_is_added(ask: Ask) -> None:
    question = ask("study=filter_size", "model.kernel_size=3,7,9", "model.dropout=0.0,0.5")
    assert axes(question)["model.kernel_size"] == [3, 7, 9]
    assert axes(question)["model.dropout"] == [0.0, 0.5]
    assert len(axes(question)) == 4


def test_fixed_value_removes_its_axis(ask: Ask) -> None:
    question = ask("study=filter_size", "model.kernel_size=7")
    assert set(axes(question)) == {"model.filters", "training.batch_size"}
    assert question.master.model.kernel_size == 7


@pytest.mark.parametrize("added", ["+model.kwargs.width", "++model.kwargs.width"])
def test_fixed_value_that_adds_a_key_removes_its_axis(added: str, ask: Ask) -> None:
    space = "study.space={+model.kwargs.width:[2,3],model.kernel_size:[3,5]}"
    assert set(axes(ask(space))) == {"+model.kwargs.width", "model.kernel_size"}
    question = ask(space, f"{added}=7")
    assert set(axes(question)) == {"model.kernel_size"}
    assert question.master.model.kwargs.width == 7


def test_range_of_the_command_line_wins_with_any_plus(ask: Ask) -> None:
    question = ask("study.space={+model.kwargs.width:[2,3]}", "++model.kwargs.width=4,5")
    assert axes(question) == {"++model.kwargs.width": [4, 5]}


def test_condition_on_an_added_key_is_known(ask: Ask) -> None:
    condition = "{range:'choice(3,5)',when:{model.kwargs.width:2}}"
    question = ask(f"study.space={{+model.kwargs.width:[2,3],model.kernel_size:{condition}}}")
    assert len(list(question.space.configurations())) == 3


def test_fixed_group_removes_its_axis_and_decides_the_conditions(ask: Ask) -> None:
    with_strength = ask("study=full_search", "regularizer=l2", "model.kernel_size=3")
    without = ask("study=full_search", "regularizer=none", "model.kernel_size=3")
    found = {"regularizer.strength"} & set(with_strength.space.suggest(FirstOfEach()))  # type: ignore[arg-type]
    assert found == {"regularizer.strength"}
    assert "regularizer.strength" not in without.space.suggest(FirstOfEach())  # type: ignore[arg-type]
    assert "regularizer" not in axes(with_strength)


class FirstOfEach:
    """A trial that takes the first value of every axis."""

    def suggest_categorical(self, key: str, choices: tuple[Any, ...]) -> Any:
        return choices[0]

    def suggest_float(self, key: str, low: float, high: float, **rest: Any) -> float:
        return low


def test_condition_stays_when_the_command_line_changes_the_range(ask: Ask) -> None:
    question = ask("study=full_search", "regularizer.strength=1e-4,1e-3")
    (strength,) = [axis for axis in question.space.axes if axis.key == "regularizer.strength"]
    assert strength.values() == [1e-4, 1e-3]
    assert strength.conditions == {"regularizer": ("l1", "l2", "l1_l2")}
    assert set(axes(question)) == FULL_SEARCH


def test_space_of_the_command_line_is_a_study(ask: Ask) -> None:
    question = ask("study.space={model.kernel_size:[3,5]}", "sampler=random")
    assert axes(question) == {"model.kernel_size": [3, 5]}


@pytest.mark.parametrize("space", ["choice(1,2)", "[3, 5]", "7", "True"])
def test_space_that_names_no_keys_is_refused(
    context: HydraContext, compose: Callable[[list[str]], DictConfig], space: str
) -> None:
    config = compose([])
    config.study.space = OmegaConf.create(f"value: {space}").value
    with pytest.raises(ConfigError) as refused:
        read_question(context, config, [], translate_keys({}))
    assert str(refused.value) == (
        f"study.space must name keys and their values, but got {space}. "
        'Write it as in study: {space: {model.kernel_size: "choice(3, 5)"}}.'
    )


def test_params_of_another_sweeper_are_axes_with_its_default_sampler(ask: Ask) -> None:
    question = ask(
        "data.limit=100", params={"model.kernel_size": "3,5", "model.dropout": "interval(0,0.5)"}, n_trials=7
    )
    assert set(axes(question)) == {"model.kernel_size", "model.dropout"}
    assert question.master.study.trials == 7
    assert question.master.sampler.name == "tpe"
    assert question.master.study.name is None


def test_command_line_wins_over_keys_of_another_sweeper(ask: Ask) -> None:
    question = ask("study.trials=3", n_trials=7, params={"model.kernel_size": "3,5"})
    assert question.master.study.trials == 3


def test_second_reading_gives_the_same_question(ask: Ask) -> None:
    one, other = ask("study=full_search"), ask("study=full_search")
    assert one.space.canonical() == other.space.canonical()
    assert one.fixed == other.fixed and without_hydra(one.master) == without_hydra(other.master)


@pytest.mark.parametrize("key", ["tracking.uri", "study.trials", "budget.hours", "sampler", "data.ship"])
def test_key_that_does_not_define_a_run_is_not_swept(
    key: str, context: HydraContext, compose: Callable[[list[str]], DictConfig]
) -> None:
    values = {"sampler": "tpe,random", "data.ship": "true,false"}.get(key, "1,2")
    arguments = [f"{key}={values}"]
    with pytest.raises(ConfigError) as refused:
        conduct(context, compose(arguments), arguments, {})
    assert str(refused.value) == (
        f"{key} cannot be swept: it does not define a run. Sweep keys of data, augment, model, "
        "initializer, regularizer, optimizer, schedule, training."
    )


def test_options_of_another_search_path_may_be_swept(
    context: HydraContext,
    compose: Callable[[list[str]], DictConfig],
    tmp_path: Path,
) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer/mine.yaml").write_text("defaults: [adam]\nlearning_rate: 0.5\n")
    arguments = [f"hydra.searchpath=[{tmp_path}]", "optimizer=mine,adam"]
    question = read_question(context, compose(arguments), arguments[1:], translate_keys({}))
    assert axes(question) == {"optimizer": ["mine", "adam"]}


def test_option_that_does_not_exist_is_named(ask: Ask) -> None:
    with pytest.raises(
        ConfigError, match="optimizer has no option sdg. It has adam, adamw, custom, rmsprop, sgd."
    ):
        ask("optimizer=adam,sdg")


def test_condition_on_a_key_that_does_not_exist_is_refused(ask: Ask) -> None:
    space = (
        "study.space={model.kernel_size:{range:'choice(3,5)',when:{optimiser:sgd}},training.batch_size:[8,9]}"
    )
    tuned = "study.nuisance={optimizer.momentum:{range:'0.5,0.9',when:{optimiser:sgd}}}"
    with pytest.raises(
        ConfigError, match="study.nuisance.optimizer.momentum has a condition on optimiser, but"
    ):
        ask("model.kernel_size=3,5", tuned)
    with pytest.raises(ConfigError, match="has a condition on optimiser, but there is no such key"):
        ask(space)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (
            "{optimizer: sdg}",
            "has the condition optimizer: sdg, but optimizer never has it. Did you mean sgd?",
        ),
        ("{schedule: x}", "schedule: x, but schedule never has it. It has constant, cosine, exponential, "),
    ],
)
def test_condition_on_a_value_that_never_occurs_is_refused(condition: str, said: str, ask: Ask) -> None:
    rate = f"optimizer.learning_rate:{{range:'0.1,0.2',when:{condition}}}"
    with pytest.raises(ConfigError) as refused:
        ask(f"study.space={{model.kernel_size:[3,5],{rate}}}")
    assert said in str(refused.value)


def test_condition_on_a_value_that_is_not_chosen_never_applies(ask: Ask) -> None:
    rate = "optimizer.learning_rate:{range:'0.1,0.2',when:{optimizer: sgd}}"
    for narrowed in ("optimizer=adam", "optimizer=adam,rmsprop"):
        question = ask(f"study.space={{model.kernel_size:[3,5],{rate}}}", narrowed)
        configurations = list(question.space.configurations())
        assert configurations and not any("optimizer.learning_rate" in each for each in configurations)


@pytest.mark.parametrize("where", ["space", "nuisance"])
def test_axes_that_hold_one_another_are_refused(where: str, ask: Ask) -> None:
    """The kind of the second would be that of every trial."""
    whole = "model.normalization:['{kind:none}','{kind:batch}']"
    kinds = "model.normalization.kind:[none,batch]"
    spaces = [f"study.space={{{whole}}}", f"study.{where}={{{kinds}}}"]
    if where == "space":
        spaces = [f"study.space={{{whole},{kinds}}}"]
    with pytest.raises(ConfigError, match="^model.normalization and model.normalization.kind are both axes"):
        ask(*spaces)
    ask("study.space={regularizer:[l1,l2],regularizer.strength:[0.1,0.2]}")


RATE = "optimizer.learning_rate:{{range:'0.1,0.2',when:{{{}}}}}"


@pytest.mark.parametrize(
    ("condition", "because"),
    [
        ("optimizer: sgd", "optimizer is sgd, but optimizer is adam. Correct the condition or optimizer."),
        ("model.kernel_size: [7, 9]", "model.kernel_size is 7 or 9, but model.kernel_size is 3, 5. Correct"),
        ("model.kernel_size: '3'", "model.kernel_size is 3, but model.kernel_size is 3, 5. Correct"),
    ],
)
def test_condition_that_can_never_hold_is_refused(condition: str, because: str, ask: Ask) -> None:
    with pytest.raises(ConfigError) as refused:
        ask(f"study.space={{model.kernel_size:[3,5],{RATE.format(condition)}}}")
    assert str(refused.value).startswith(f"optimizer.learning_rate applies only when {because}")


def test_condition_on_an_axis_that_applies_to_no_trial_is_refused(ask: Ask) -> None:
    inner = "optimizer.momentum:{range:[0.1,0.2],when:{optimizer:sgd}}"
    outer = "optimizer.learning_rate:{range:'0.1,0.2',when:{optimizer.momentum:0.1}}"
    with pytest.raises(ConfigError, match="^optimizer.momentum applies only when optimizer is sgd, but"):
        ask(f"study.space={{{inner},{outer}}}")
    assert ask(f"study.space={{{inner},{outer}}}", "optimizer=adam").notes == (
        "optimizer.momentum applies only when optimizer is sgd: not in this sweep, in which optimizer is "
        "adam",
        "optimizer.learning_rate applies only when optimizer.momentum is 0.1: not in this sweep, in which "
        "optimizer.momentum applies to no trial",
    )


def test_condition_on_a_number_of_an_interval_may_hold(ask: Ask) -> None:
    width = "model.dropout:'interval(0.0,0.5)'"
    held = ask(f"study.space={{{width},{RATE.format('model.dropout: 0')}}}", "sampler=tpe")
    assert held.notes == ()
    with pytest.raises(ConfigError, match="but model.dropout is 0 … 0.5"):
        ask(f"study.space={{{width},{RATE.format('model.dropout: 0.7')}}}", "sampler=tpe")
