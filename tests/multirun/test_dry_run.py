"""A dry run prints the cost of a sweep, and writes nothing."""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from kerasweep.errors import ConfigError
from kerasweep.model.network import build_model
from kerasweep.model.parts import StockParts
from kerasweep.multirun import estimate
from kerasweep.multirun.dry_run import dry_run, short_number, shown_configurations
from kerasweep.multirun.plan import Plan
from kerasweep.space.rows import Params
from kerasweep.training.cost import Probe, count_flops
from tests import compositions
from tests.compositions import compose_train
from tests.processes import call, run

SMALL = ("data.limit=200", "training.epochs=2")
GRID = ("model.filters=[4],[4,4,4,4]", "model.kernel_size=3,5,7,9")


def plan_of(*arguments: str) -> Plan:
    return compositions.plan_of(*SMALL, *arguments)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Returns a function that makes a dry run, checks that its folder stays empty, and returns its output."""

    def print_it(*arguments: str) -> str:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
            patch.chdir(folder := tmp_path_factory.mktemp("empty"))
            for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
                patch.setenv(name, "1")
            dry_run(plan_of(*arguments), workers=2)
            assert list(folder.iterdir()) == []
        return output.getvalue()

    return print_it


@pytest.fixture(scope="module")
def grid(printed: Callable[..., str]) -> str:
    """Returns the dry run of a grid in which three configurations can be trained and five cannot."""
    keras = "model.normalization.moving_statistics=keras"
    return printed(*GRID, "model.padding=valid", keras, "budget.hours=0.0001")


@pytest.fixture(scope="module")
def sample(printed: Callable[..., str]) -> str:
    """Returns the dry run of an infinite space without an axis that changes the cost."""
    rate = "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))"
    initializers = "initializer=he_normal,glorot_uniform"
    return printed(
        "sampler=tpe", "study.trials=50", "study.repeats=3", "model.filters=[4]", rate, initializers
    )


def rows_of(text: str) -> list[list[str]]:
    """Returns the cells of the table's rows: configuration, parameters, FLOPs, seconds."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line[0] == "│"]


def test_lists_a_grid_with_its_costs_and_invalid_configurations(grid: str) -> None:
    rows = rows_of(grid)
    assert [row[0] for row in rows] == [
        f"model.filters={filters} model.kernel_size={size}"
        for filters in ("[4]", "[4,4,4,4]")
        for size in (3, 5, 7, 9)
    ]
    assert [row[3] for row in rows[3:]] == ["invalid [1]", *["invalid [2]"] * 4]
    assert [row[1] for row in rows[3:]] == ["-"] * 5
    assert all(0 < float(row[3]) < 60 for row in rows[:3])
    assert "\n[1] 1 × block1_conv1 needs 9 pixels a side" in grid
    assert "\n[2] 4 × model.filters=[4,4,4,4] halves the image 4 times" in grid
    assert "3 of these 8 configurations can be trained" in grid
    assert "the sweep: 3 trials, " in grid


def test_parameters_are_those_that_keras_counts(grid: str) -> None:
    expected = []
    for size in (3, 5, 7):
        cfg = compose_train("model.filters=[4]", f"model.kernel_size={size}", "model.padding=valid")
        model = build_model(cfg.model, StockParts(cfg.initializer, cfg.regularizer, seed=0), (8, 8, 1), 10)
        expected.append((f"{model.count_params():,}", short_number(count_flops(model))))
    assert [(row[1], row[2]) for row in rows_of(grid)[:3]] == expected


def test_total_follows_from_the_rows_and_the_workers(grid: str) -> None:
    seconds = [float(row[3]) for row in rows_of(grid)[:3]]
    found = re.search(
        r"= (\d+) s to start \+ ([\d.]+) s to trace 3 graphs \+ 3 trainings / 2 × ([\d.]+) s", grid
    )
    assert found and float(found[3]) == pytest.approx(sum(seconds) / 3, abs=0.11)
    total = float(found[1]) + float(found[2]) + 2 * float(found[3])
    stated = re.search(r"about 0:(\d\d):(\d\d) with 2 workers", grid)
    assert stated and 60 * int(stated[1]) + int(stated[2]) == pytest.approx(total, abs=1.2)
    assert re.search(r"budget\.hours=0\.0001 ends it after about \d+% of that", grid)


def test_samples_an_infinite_space_and_counts_the_seeds(sample: str) -> None:
    assert len(rows_of(sample)) == 20
    assert sample.startswith("dry run: a sample of 20 configurations are built")
    assert "seconds: of a trial of 3 seeds" in sample
    assert "the sweep: 50 trials of 3 seeds, " in sample
    assert " 150 trainings / 2 × " in sample


def test_axes_without_effect_on_the_cost_give_equal_costs(sample: str) -> None:
    assert len({tuple(row[1:]) for row in rows_of(sample)}) == 1


def test_sample_is_drawn_by_the_sampler() -> None:
    rate = "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))"
    (first, is_sample), again, other = (
        shown_configurations(plan_of("sampler=qmc", f"sampler.seed={seed}", rate)) for seed in (1, 1, 2)
    )
    assert is_sample and len(first) == 20
    assert (first, True) == again != other


def test_a_finite_space_is_listed_in_order_up_to_200() -> None:
    axes = "model.kernel_size=3,5", "sampler=tpe"
    listed, is_sample = shown_configurations(plan_of("training.batch_size=range(1,101)", *axes))
    assert not is_sample
    assert listed == [
        {"training.batch_size": size, "model.kernel_size": kernel}
        for size in range(1, 101)
        for kernel in (3, 5)
    ]
    sampled, is_sample = shown_configurations(plan_of("training.batch_size=range(1,102)", *axes))
    assert is_sample and len(sampled) == 20


def test_a_sample_of_impossible_configurations_gets_a_possible_one() -> None:
    rate = "optimizer.learning_rate=interval(1e-4,1e-1)"
    made = plan_of("sampler=random", "study.constraints=['optimizer.learning_rate > 0.0995']", rate)
    sampled, _ = shown_configurations(made)
    assert [made.refusal(params) is None for params in sampled] == [False] * 20 + [True]


def test_counts_no_more_trials_than_there_are_configurations(printed: Callable[..., str]) -> None:
    rates = "optimizer.learning_rate=0.1,0.01"
    text = printed("sampler=tpe", "study.trials=50", "model.filters=[4],[4,4,4,4]", rates)
    assert "the sweep: 2 trials (50 were asked for), " in text


def test_three_configurations_are_timed_and_the_others_interpolated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed: list[object] = []

    def probe(plan: Plan, params: Params) -> Probe:
        timed.append(params["training.batch_size"])
        return Probe(start=1.0, step=int(str(timed[-1])) / 1000, image=0.002)

    monkeypatch.setattr(estimate, "_probe", probe)
    made = plan_of("training.batch_size=20,8,12,24,16")
    costs = estimate.estimate_costs(made, made.space.configurations())
    assert timed == [8, 16, 24]
    for cost, size in zip(costs, (20, 8, 12, 24, 16), strict=True):
        epoch = cost.steps * size / 1000 + cost.validation_images * 0.002
        assert (cost.trace_seconds, cost.seconds) == (1.0, pytest.approx(2 * epoch))


def test_untimeable_configurations_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def probe(plan: Plan, params: Params) -> Probe:
        raise RuntimeError("not today")

    monkeypatch.setattr(estimate, "_probe", probe)
    made = plan_of("model.kernel_size=3,5")
    message = "No configuration can be trained. The first one: it cannot be trained: RuntimeError: not today"
    with pytest.raises(ConfigError, match=message):
        estimate.estimate_costs(made, made.space.configurations())


def test_a_space_without_a_trainable_configuration_is_an_error(printed: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match="No configuration"):
        printed("model.filters=[4,4,4,4],[4,4,4,4,4]")


NETWORKS = """\
import keras


class Refusing(keras.layers.Layer):
    def call(self, inputs, training=False):
        if training:
            raise RuntimeError("not today")
        return inputs


def net(shape, classes, width):
    if width == 3:
        raise ValueError("odd")
    layers = [Refusing()] if width == 4 else []
    softmax = keras.layers.Dense(classes, activation="softmax")
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), *layers, softmax])
"""


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_command_shows_networks_that_raise_and_writes_no_files(tmp_path: Path) -> None:
    (tmp_path / "dry_nets.py").write_text(NETWORKS)
    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", x=images, y=np.arange(60) % 3)
    before = files_below(tmp_path)
    done = run(
        tmp_path,
        "train",
        "-m",
        "study.dry_run=true",
        "data=npz",
        "data.path=few.npz",
        "training.epochs=2",
        "model=custom",
        "model.target=dry_nets:net",
        "+model.kwargs.width=2,3,4",
    )
    assert (done.code, done.stderr) == (0, ""), done
    assert "[1] 1 × it cannot be built: ValueError: odd" in done.stdout
    assert "[2] 1 × it cannot be trained: RuntimeError: " in done.stdout and "not today" in done.stdout
    assert "1 of these 3 configurations can be trained" in done.stdout
    assert files_below(tmp_path) == before


def test_dry_run_of_a_study_begins_with_the_note_on_its_claim(printed: Callable[..., str]) -> None:
    text = printed("study=shuffle", "study.repeats=1", "model.filters=[4]", "training.batch_size=32")
    note = "note: the claim needs 3 seeds, and study.repeats=1 cannot decide it; study.repeats=5 gives enough"
    assert text.splitlines()[1] == note
    assert "the sweep: 2 trials, " in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "study.dry_run=true",
            "study.dry_run=true shows what a sweep would train. Add -m, or leave study.dry_run out.",
        ),
        ("trial.target=work:train", "trial.target is used by sweeps. Add -m, or leave it out."),
    ],
)
def test_single_run_refuses_a_setting_of_sweeps(override: str, message: str, tmp_path: Path) -> None:
    done = call(tmp_path, "train", override)
    assert (done.code, done.stderr) == (2, f"error: {message}\n")
