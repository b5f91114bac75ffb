"""A dry run says what a sweep would cost, and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig

from src.errors import ConfigError
from src.multirun.composer import Composer
from src.multirun.dry_run import dry_run
from src.multirun.legacy import read_legacy
from src.multirun.plan import Plan
from src.multirun.question import read_question
from src.training.cost import count_flops
from tests.commands import run

SMALL = ("data.limit=200", "training.epochs=2")


@pytest.fixture
def said(
    context: HydraContext,
    compose: Callable[[list[str]], DictConfig],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """What a dry run of these arguments prints, in an empty folder that it leaves empty."""
    monkeypatch.chdir(tmp_path)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")

    def print_it(*arguments: str, workers: int = 2) -> str:
        given = [*SMALL, *arguments]
        question = read_question(context, compose(given), given, read_legacy({}))
        dry_run(Plan(question, Composer(context, question.master, question.fixed, question.space)), workers)
        assert list(tmp_path.iterdir()) == []
        return capsys.readouterr().out

    return print_it


def test_lists_a_grid_with_its_costs_and_what_is_left_out(said: Callable[..., str]) -> None:
    text = said("model.filters=[4],[4,4,4,4]", "model.kernel_size=3,5", "budget.hours=2")
    rows = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == [
        f"model.filters={filters} model.kernel_size={size}"
        for filters in ("[4]", "[4,4,4,4]")
        for size in (3, 5)
    ]
    assert [row[1].strip() for row in rows] == ["702", "766", "-", "-"]
    assert [row[3].strip() for row in rows][2:] == ["left out"] * 2
    seconds = [float(row[3]) for row in rows[:2]]
    assert all(0 < each < 60 for each in seconds)
    assert "left out: 2 × model.filters=[4,4,4,4] halves the image 4 times" in text
    assert "all 4 configurations: 2 can be trained, 2 cannot" in text
    assert f"the sweep: 2 trials, {sum(seconds) / 2:.1f} s each, about 0:00:0" in text
    assert "budget.hours=2 ends it then at the latest" in text


def test_samples_a_space_without_end_and_counts_the_seeds(said: Callable[..., str]) -> None:
    text = said(
        "sampler=tpe",
        "study.trials=50",
        "study.repeats=3",
        "pruner=median",
        "model.filters=[4],[8]",
        "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))",
    )
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert len(rows) == 20 and sum("~" in row for row in rows) <= 18
    assert "a sample of 20 configurations: 20 can be trained, 0 cannot" in text
    assert "the sweep: 50 trials of 3 seeds, " in text and "pruner=median will end some" in text


def test_nothing_that_can_be_trained_is_an_error(said: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match="No configuration"):
        said("model.filters=[4,4,4,4],[4,4,4,4,4]")


def test_flops_are_those_of_the_layers() -> None:
    network = keras.Sequential(
        [
            keras.Input((6, 7, 3)),
            keras.layers.Conv2D(4, 3, padding="same", use_bias=False),
            keras.layers.Flatten(),
            keras.layers.Dense(5, use_bias=False),
        ]
    )
    assert count_flops(network) == 2 * 6 * 7 * 9 * 3 * 4 + 2 * (6 * 7 * 4) * 5


def test_command_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "dry_nets.py").write_text(
        "import keras\n"
        "def net(shape, classes, width):\n"
        "    if width == 3:\n"
        "        raise ValueError('odd')\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(),"
        " keras.layers.Dense(classes, activation='softmax')])\n"
    )
    done = run(
        tmp_path,
        "train",
        "-m",
        "study.dry_run=true",
        *SMALL,
        "model=custom",
        "model.target=dry_nets:net",
        "+model.kwargs.width=2,3",
    )
    assert done.code == 0, done
    assert "left out: 1 × it cannot be built: ValueError: odd" in done.stdout
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["dry_nets.py"]


def test_single_run_cannot_be_dry(tmp_path: Path) -> None:
    done = run(tmp_path, "train", "study.dry_run=true")
    assert done.code == 2
    assert done.stderr == (
        "error: study.dry_run=true shows what a sweep would train. Add -m, or leave study.dry_run out.\n"
    )
