"""A study with nuisance axes becomes two sweeps: each arm's tuning, and a comparison on seeds of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.errors import ConfigError, DataError
from kerasweep.multirun.dry_run import dry_run
from kerasweep.multirun.plan import Plan as PlanOf
from kerasweep.multirun.plan import TunedBy
from kerasweep.multirun.tuning import comparison_plan, examples, tuned_combinations, tuning_notes, tuning_plan
from tests.multirun.test_sweep_data import write_archive

pytestmark = pytest.mark.usefixtures("folder")
Plan = Callable[..., PlanOf]
RATES = "study.nuisance={optimizer.learning_rate:'choice(0.001,0.01,0.1)'}"
INTERVAL = "study.nuisance={optimizer.learning_rate:'tag(log,interval(1e-4,1e-1))'}"
SIZES = ("model.kernel_size=3,5", "study.repeats=3")


def rates(plan: PlanOf) -> list[Any]:
    return [params.get("optimizer.learning_rate") for params in plan.space.configurations()]


def test_a_grid_is_tuned_whole(plan: Plan) -> None:
    tuning = tuning_plan(plan(*SIZES, RATES))
    assert (tuning.total(), tuning.base.sampler.name, tuning.base.study.repeats) == (18, "grid", 1)
    assert tuning.arms is not None and tuning.arms.trials == (3,) * 6
    assert [(params["model.kernel_size"], params["training.seed"]) for params in tuning.arms.listed] == [
        (size, 1_000_000 + repeat) for size in (3, 5) for repeat in range(3)
    ]
    sweep = tuning.open_sweep(fresh=False)
    assert sweep.name.startswith("kernel_size-tuning-")
    assert sweep.resamples  # though a single repeat is trained


@pytest.mark.parametrize(
    ("arguments", "trials", "sampler"),
    [
        ((INTERVAL, "sampler=tpe"), 10, "tpe"),
        ((INTERVAL, "sampler=tpe", "study.nuisance_trials=4"), 4, "tpe"),
        ((RATES, "sampler=tpe"), 3, "grid"),  # all there are
        ((RATES, "sampler=random", "study.nuisance_trials=2"), 2, "random"),
    ],
)
def test_trials_of_each_arm(arguments: tuple[str, ...], trials: int, sampler: str, plan: Plan) -> None:
    tuning = tuning_plan(plan(*SIZES, "study.tuning=once", *arguments))
    assert tuning.arms is not None
    found = (tuning.arms.trials, tuning.total(), tuning.base.sampler.name)
    assert found == ((trials, trials), 2 * trials, sampler)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("study.nuisance={optimizer.learning_rate:'0.1,0.2'}",), "study.space is empty"),
        (
            (*SIZES, "study.nuisance={optimizer.learning_rate:'3'}"),
            "study.nuisance.optimizer.learning_rate must",
        ),
        (
            ('model.kernel_size=tag("normal(3,1)",range(1,8,2))', RATES),
            "study.space.model.kernel_size has a prior, but with study.nuisance all its values are compared.",
        ),
        ((*SIZES, "study.nuisance=3"), "study.nuisance must name keys and their values, but got 3"),
        (
            (*SIZES, INTERVAL, "sampler=grid"),
            "study.nuisance, but these cannot be listed: it has an interval, or more than 100,000",
        ),
        (
            (*SIZES, RATES, "sampler=grid", "study.nuisance_trials=2"),
            "but there are 3 and study.nuisance_trials=2",
        ),
        (
            (*SIZES, RATES, "study.trials=1"),
            "study.trials=1 limits a search, but with study.nuisance all 2 com",
        ),
        ((*SIZES, RATES, "study.nuisance_trials=0"), "study.nuisance_trials must be at least 1"),
        (
            (*SIZES, INTERVAL, "sampler=qmc"),
            "sampler=qmc would mix the combinations of study.space in a tuning",
        ),
        ((*SIZES, RATES, "sampler=nsga2"), "Use sampler=tpe."),
        ((*SIZES, RATES, "pruner=hyperband"), "pruner=hyperband would mix the combinations"),
        (
            (
                "study.space={regularizer.strength:{range:'1e-3,1e-2',when:{regularizer:l2}}}",
                "study.nuisance={regularizer:'none,l2'}",
            ),
            "study.space.regularizer.strength has a condition on regularizer, which study.nuisance tunes",
        ),
        (
            ("training.seed=0,1", "model.kernel_size=3,5", RATES),
            "training.seed repeats a training, so with study.nuisance it cannot be an axis",
        ),
        (
            (*SIZES, "study.nuisance={data.split_seed:'1,2'}"),
            "data.split_seed repeats a training, so with study.nuisance it cannot be an axis",
        ),
        ((*SIZES, RATES, "study.tuning=twice"), "study.tuning must be one of repeated, once"),
        ((*SIZES, INTERVAL, "sampler=cmaes"), "sampler=cmaes needs two numeric axes or more"),
        (
            (*SIZES, RATES, "budget.target=0.9"),
            "budget.target ends a search, but with study.nuisance there is one for",
        ),
        ((*SIZES, RATES, "experiment=accuracy_and_size"), "study.nuisance tunes for one objective"),
        (
            ("sampler=tpe", "model.dropout=interval(0.0,0.5)", RATES),
            "study.nuisance is tuned for each combination of study.space, but model.dropout is an interval",
        ),
        ((*SIZES, "study.nuisance={optimizer.momentun:'0.1,0.2'}"), "momentun"),
        (
            ("sampler=tpe", "model.kernel_size=range(1,1001)", "training.batch_size=range(1,1001)", RATES),
            "of study.space, but there are more than 100,000. Name fewer values",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused(arguments: tuple[str, ...], said: str, plan: Plan) -> None:
    with pytest.raises(ConfigError) as refused:
        tuning_plan(plan(*arguments))
    assert said in str(refused.value)


def test_a_key_is_either_compared_or_tuned(plan: Plan, tmp_path: Path) -> None:
    both = "study.space={optimizer.learning_rate:'0.1,0.2',model.kernel_size:'3,5'}"
    with pytest.raises(
        ConfigError, match="optimizer.learning_rate is an axis of study.space and of study.nui"
    ):
        plan(both, RATES)


def test_the_command_line_compares_or_fixes_a_nuisance_key(plan: Plan) -> None:
    swept = plan(*SIZES, RATES, "optimizer.learning_rate=0.5,0.6")
    assert not swept.question.nuisance.axes
    assert [axis.key for axis in swept.space.axes] == ["model.kernel_size", "optimizer.learning_rate"]
    fixed = plan(*SIZES, RATES, "optimizer.learning_rate=0.5")
    assert [axis.key for axis in fixed.question.searched.axes] == ["model.kernel_size"]


def test_the_comparison_has_one_configuration_of_each_arm(plan: Plan) -> None:
    whole = plan(*SIZES, RATES)
    assert rates(comparison_plan(whole, examples(whole))) == [0.001, 0.001]
    tuned = [
        [{"model.kernel_size": 3, "optimizer.learning_rate": rate} for rate in (0.1, 0.01, 0.1)],
        [{"model.kernel_size": 5, "optimizer.learning_rate": 0.01}],
    ]
    compared = comparison_plan(whole, tuned, TunedBy("t-1", ("a note",)))
    assert list(compared.space.configurations()) == [tuned[0][0], tuned[1][0]]
    sweep = compared.open_sweep(fresh=False)
    assert [sweep.params_of(tuned[0][0], repeat) for repeat in range(3)] == tuned[0]
    assert [sweep.params_of(tuned[1][0], repeat) for repeat in range(3)] == tuned[1] * 3
    assert sweep.shown_params(tuned[0][0]) == {
        "model.kernel_size": 3,
        "optimizer.learning_rate": "0.1,0.01,0.1",
    }
    assert sweep.shown_params(tuned[1][0]) == tuned[1][0]
    assert (compared.total(), compared.base.study.repeats, compared.base.sampler.name) == (2, 3, "grid")
    assert list(compared.compared_names().values()) == ["kernel_size"]
    assert compared.study == "kernel_size"


def test_another_tuning_begins_another_comparison(plan: Plan) -> None:
    whole = plan(*SIZES, RATES)
    first = comparison_plan(whole, examples(whole), TunedBy("t-1", ())).open_sweep(fresh=False)
    assert first.tuned == {"optimizer.learning_rate"}
    assert tuning_plan(whole).open_sweep(fresh=False).tuned == set()
    first.study.ask()
    again = comparison_plan(whole, examples(whole), TunedBy("t-1", ())).open_sweep(fresh=False)
    other = comparison_plan(whole, examples(whole), TunedBy("t-2", ())).open_sweep(fresh=False)
    assert first.name == again.name and other.name == f"{first.name}-2"
    assert not first.notes and not again.notes


def test_a_fresh_tuning_of_changed_data_begins_another_comparison(plan: Plan, tmp_path: Path) -> None:
    """The new comparison has nothing of the old data, so it need not be asked for twice."""
    command = (*SIZES, RATES, "data=npz", write_archive(tmp_path / "a.npz"))
    whole = plan(*command)
    first = comparison_plan(whole, examples(whole), TunedBy("t-1", ())).open_sweep(fresh=False)
    first.study.ask()
    write_archive(tmp_path / "a.npz", level=7)
    whole = plan(*command)
    with pytest.raises(DataError, match="has changed since it began"):
        comparison_plan(whole, examples(whole), TunedBy("t-1", ())).open_sweep(fresh=False)
    other = comparison_plan(whole, examples(whole), TunedBy("t-1-2", ())).open_sweep(fresh=False)
    assert other.name == f"{first.name}-2"
    other.study.ask()
    assert comparison_plan(whole, examples(whole), TunedBy("t-1-2", ())).open_sweep(False).name == other.name


def test_other_values_begin_another_comparison(plan: Plan) -> None:
    """The same tuning may find better values: with another sampler, for example."""
    whole = plan(*SIZES, RATES)
    tuned = [
        [{"model.kernel_size": size, "optimizer.learning_rate": 0.1} for _ in range(3)] for size in (3, 5)
    ]
    first = comparison_plan(whole, tuned, TunedBy("t-1", ())).open_sweep(fresh=False)
    first.study.ask()
    again = comparison_plan(whole, tuned, TunedBy("t-1", ())).open_sweep(fresh=False)
    tuned[1][2]["optimizer.learning_rate"] = 0.01
    other = comparison_plan(whole, tuned, TunedBy("t-1", ())).open_sweep(fresh=False)
    assert (again.name, other.name) == (first.name, f"{first.name}-2")


def test_another_number_of_tunings_is_another_sweep(plan: Plan) -> None:
    """Its total counts every trial of the sweep, so no trial may belong to a tuning that is not needed."""
    names = [
        tuning_plan(plan("model.kernel_size=3,5", RATES, *more)).open_sweep(False).name
        for more in (("study.repeats=3",), ("study.repeats=5",), ("study.repeats=5", "study.tuning=once"), ())
    ]
    assert len({*names}) == 3 and names[2] == names[3]
    other = tuning_plan(plan(*SIZES, INTERVAL, "sampler=tpe")).open_sweep(False).name
    assert other != names[0]
    once = plan(*SIZES, RATES, "study.tuning=once")
    compared = [
        comparison_plan(whole, examples(whole)).open_sweep(False).name
        for whole in (once, plan(*SIZES, RATES))
    ]
    assert compared[0] != compared[1]


@pytest.mark.parametrize(
    ("pruner", "tuning_has", "comparison_has"),
    [("median", "median", "none"), ("wilcoxon", "none", "wilcoxon")],
)
def test_epochs_are_pruned_while_tuning_and_repeats_while_comparing(
    pruner: str, tuning_has: str, comparison_has: str, plan: Plan
) -> None:
    whole = plan("model.kernel_size=3,5", "study.repeats=5", RATES, f"pruner={pruner}")
    assert tuning_plan(whole).base.pruner.name == tuning_has
    assert comparison_plan(whole, examples(whole)).base.pruner.name == comparison_has


def test_an_impossible_arm_is_left_out(plan: Plan) -> None:
    whole = plan("model.filters=[4],[4,4,4,4,4,4]", RATES)
    tuning = tuning_plan(whole)
    ((arm, reason),) = tuning.left_out()
    assert arm == {"model.filters": "[4,4,4,4,4,4]"} and "pixel" in reason
    assert tuning.total() == 3 and len(examples(whole)) == 1


def test_dry_run_counts_both_phases(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    whole = plan(*SIZES, RATES, "model.filters=[4]", "data.limit=100", "training.epochs=1")
    dry_run(comparison_plan(whole, examples(whole)), 1, tuning_plan(whole))
    said = capsys.readouterr().out
    assert (
        "first, the tuning: 18 trials, 3 of each combination for each of 3 repeats, with sampler grid" in said
    )
    assert "the sweep: 2 trials of 3 seeds" in said
    assert "24 trainings / 1" in said  # eighteen that tune, and six that are compared


def test_an_arm_gets_as_many_trials_as_it_has_nuisance_values(plan: Plan) -> None:
    """A condition on a compared axis holds for some arms alone, whatever the default of that axis is."""
    strengths = "study.nuisance={regularizer.strength:{range:'1e-5,1e-4,1e-3',when:{regularizer:[l1,l2]}}}"
    tuning = tuning_plan(plan("regularizer=none,l2", strengths))
    assert tuning.arms is not None
    assert (tuning.arms.trials, tuning.total()) == ((1, 3), 4)
    momentum = (
        "study.nuisance={optimizer.learning_rate:'0.1,0.2,0.3',"
        "optimizer.momentum:{range:'0.5,0.9',when:{optimizer:sgd}}}"
    )
    tuning = tuning_plan(plan("optimizer=sgd,adam", momentum))
    assert tuning.arms is not None and tuning.arms.trials == (6, 3)
    few = tuning_plan(plan("optimizer=sgd,adam", momentum, "sampler=tpe", "study.nuisance_trials=4"))
    assert few.arms is not None and (few.arms.trials, few.base.sampler.name) == ((4, 3), "tpe")


def test_the_tuning_has_other_splits_than_a_comparison_on_fixed_ones(plan: Plan) -> None:
    whole = plan(*SIZES, RATES, "study.splits=fixed")
    assert tuning_plan(whole).open_sweep(False).resamples
    assert not comparison_plan(whole, examples(whole)).open_sweep(False).resamples


def test_a_sampler_learns_from_half_of_the_trials_on(plan: Plan) -> None:
    starts = [
        tuning_plan(plan(*SIZES, INTERVAL, "sampler=tpe", *more)).base.sampler.n_startup_trials
        for more in (
            (),
            ("study.nuisance_trials=60",),
            ("study.nuisance_trials=5",),
            ("sampler.n_startup_trials=0",),
        )
    ]
    assert starts == [5, 10, 4, 0]


def test_a_combination_without_a_best_in_each_tuning_is_not_compared(plan: Plan) -> None:
    tuning = tuning_plan(plan(*SIZES, RATES, "study.repeats=2"))
    first, second = 1_000_000, 1_000_001

    def best(size: int, seed: int, rate: float) -> dict[str, Any]:
        return {"model.kernel_size": size, "training.seed": seed, "optimizer.learning_rate": rate}

    found = tuned_combinations(tuning, [best(3, first, 0.1), best(5, first, 0.01), best(5, second, 0.001)])
    assert found == [[{"model.kernel_size": 5, "optimizer.learning_rate": rate} for rate in (0.01, 0.001)]]


def test_notes_say_what_the_intervals_leave_out(plan: Plan) -> None:
    assert tuning_notes(plan(*SIZES, RATES)) == []
    assert tuning_notes(plan(*SIZES, RATES, "study.tuning=once", "study.repeats=1")) == []
    (note,) = tuning_notes(plan(*SIZES, RATES, "study.tuning=once"))
    assert note.startswith("each combination was tuned once")


def test_refused_values_are_neither_tried_nor_counted(plan: Plan) -> None:
    forbids = "study.constraints=['model.kernel_size * optimizer.learning_rate < 0.04']"
    tuning = tuning_plan(plan("model.kernel_size=3,5", RATES, forbids))
    assert tuning.arms is not None and tuning.arms.trials == (2, 1)
    few = tuning_plan(plan("model.kernel_size=3,5", RATES, forbids, "sampler=tpe", "study.nuisance_trials=1"))
    assert few.arms is not None and (few.arms.trials, few.base.sampler.name) == ((1, 1), "tpe")


def test_a_combination_with_a_narrow_possible_range_is_tuned(plan: Plan) -> None:
    forbids = "study.constraints=['model.kernel_size != 5 or optimizer.learning_rate > 0.098']"
    tuning = tuning_plan(plan("model.kernel_size=3,5", INTERVAL, "sampler=random", forbids))
    assert len(tuning.arms.listed if tuning.arms else ()) == 2


def test_a_combination_is_possible_if_one_of_many_listed_values_is(plan: Plan) -> None:
    """The first 25 configurations are refused for one reason."""
    values = "{model.filters:'choice([1024,1024],[8,8])',optimizer.learning_rate:'range(0.001,0.026,0.001)'}"
    tuning = tuning_plan(
        plan("model.kernel_size=3,5", f"study.nuisance={values}", "budget.max_parameters=9000")
    )
    assert tuning.arms is not None and tuning.arms.trials == (10, 10)


def test_tags_of_compared_and_tuned_axes_are_named_together(plan: Plan) -> None:
    own = ("trial.target=benchmarks.targets:instant", "+training.one.width=1,2")
    whole = plan(*own, "study.nuisance={+training.two.width:'1,2'}", "study.repeats=3")
    names = comparison_plan(whole, examples(whole)).short_names()
    assert whole.compared_names() == {"+training.one.width": names["+training.one.width"]}
    assert len(set(names.values())) == 2


def test_a_comparison_has_begun_once_its_own_values_are_compared(plan: Plan) -> None:
    whole = plan(*SIZES, RATES)
    combinations = examples(whole)
    first = comparison_plan(whole, combinations, TunedBy("t-1", ()))
    assert not first.is_begun()
    first.open_sweep(fresh=False).study.ask()
    assert first.is_begun()
    assert not comparison_plan(whole, combinations, TunedBy("t-2", ())).is_begun()


def test_the_hours_of_a_tuning_count_for_its_comparison(plan: Plan) -> None:
    whole = plan(*SIZES, RATES, "budget.hours=3")
    sweep = comparison_plan(whole, examples(whole), TunedBy("t-1", (), hours=2.0)).open_sweep(fresh=False)
    assert (sweep.budget.hours, sweep.hours_before) == (3, 2.0)


def test_dry_run_names_what_cannot_be_tuned(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    whole = plan("model.filters=[4],[4,4,4,4,4,4]", RATES, "data.limit=100", "training.epochs=1")
    dry_run(comparison_plan(whole, examples(whole)), 1, tuning_plan(whole))
    assert "left out: model.filters=[4,4,4,4,4,4]: " in capsys.readouterr().out
