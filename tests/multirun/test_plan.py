"""What follows from a question: the sweep's identity, its refusals, and what is never listed."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig

from src.errors import ConfigError, DataError
from src.multirun.composer import Composer
from src.multirun.conduct import with_its_runs
from src.multirun.legacy import read_legacy
from src.multirun.plan import Plan
from src.multirun.question import read_question
from src.sweep.driver import Sweep
from src.tracking.runs import open_tracker

Compose = Callable[[list[str]], DictConfig]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plan(context: HydraContext, compose: Compose) -> Callable[..., Plan]:
    def make(*arguments: str) -> Plan:
        question = read_question(context, compose(list(arguments)), list(arguments), read_legacy({}))
        return Plan(question, Composer(context, question.master, question.fixed, question.space))

    return make


def test_a_fixed_key_below_a_swept_group_makes_another_sweep(plan: Callable[..., Plan]) -> None:
    names = [
        plan("regularizer=l1,l2", f"regularizer.strength={strength}").sweep(fresh=False).name
        for strength in ("0.01", "0.5", "0.01")
    ]
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("study.trials=9",),
        ("sampler=random", "sampler.seed=4"),
        ("budget.hours=1",),
        ("tracking.experiment=other",),
        ("pruner=median",),
    ],
)
def test_what_may_change_on_the_way_keeps_the_sweep(
    plan: Callable[..., Plan], arguments: tuple[str, ...]
) -> None:
    axes = ("sampler=tpe", "model.kernel_size=3,5")
    assert plan(*axes).sweep(fresh=False).name == plan(*axes, *arguments).sweep(fresh=False).name


def test_a_wide_integer_interval_is_never_listed(plan: Callable[..., Plan]) -> None:
    wide = "training.seed=int(interval(0,4000000000))"
    sweep = plan("sampler=random", "study.trials=2", wide).sweep(fresh=False)
    assert not sweep.space.is_finite and sweep.total == 2
    with pytest.raises(ConfigError, match="sampler=grid takes at most 100,000 configurations"):
        plan("sampler=grid", wide)


def test_a_damaged_journal_is_named(plan: Callable[..., Plan], folder: Path) -> None:
    journal = plan("model.kernel_size=3,5").sweep(fresh=False).journal
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(['{"op_code": 4, "wor', *lines]) + "\n")
    with pytest.raises(ConfigError, match=f"The journal {journal} is damaged"):
        plan("model.kernel_size=3,5").sweep(fresh=False)


def test_a_journal_that_lost_its_trials_begins_the_next_generation(
    plan: Callable[..., Plan], folder: Path, copy_database: Callable[[Path], Path]
) -> None:
    copy_database(folder)
    made = plan("model.kernel_size=3,5")

    def opened() -> Sweep:
        return with_its_runs(made, made.sweep(fresh=False))

    first = opened()
    assert opened().name == first.name
    tracker = open_tracker(made.base.tracking)
    tracker.start("trial-0", {"sweep": first.name, "kind": "trial", "trial": "0"}, {})
    assert opened().name == f"{first.name}-2"
    assert opened().name == f"{first.name}-2"
    first.study.ask()
    assert plan("model.kernel_size=3,5").sweep(fresh=False).name == f"{first.name}-2"


DATA = """
import numpy as np

def load(mode="ok"):
    if mode == "raise":
        raise OSError("cannot read my file")
    part = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    return part, part
"""


def test_data_that_cannot_be_loaded_is_left_out(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loaders.py").write_text(DATA)
    monkeypatch.syspath_prepend(folder)
    made = plan("data=custom", "data.target=loaders:load", "+data.kwargs.mode=ok,raise")
    ((params, reason),) = made.left_out()
    assert params == {"+data.kwargs.mode": "raise"}
    assert "raised OSError: cannot read my file" in reason and "loaders.py, line 6" in reason


def test_data_that_all_trials_share_is_asked_for_once(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "absent_loaders.py").write_text(
        "calls = []\ndef load():\n    calls.append(1)\n    raise OSError('gone')\n"
    )
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(DataError, match="raised OSError: gone"):
        plan("data=custom", "data.target=absent_loaders:load", "model.kernel_size=3,5,7")
    assert len(import_module("absent_loaders").calls) == 1
