"""study.start_with gives a sweep its first trials; a value outside the space is refused before the start."""

from collections.abc import Callable

import pytest

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.start_with import enqueue_first, first_configurations
from kerasweep.results import Outcome
from kerasweep.search.ask import ask
from kerasweep.search.ledger import settle
from kerasweep.search.suggest import Proposal

pytestmark = pytest.mark.usefixtures("folder")
SPACE = (
    "study.space={optimizer:[sgd,adam],model.filters:[[8],[8,16]],"
    "optimizer.momentum:{range:'interval(0.0,0.9)',when:{optimizer:sgd}}}"
)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{optimiser:sgd}", "names optimiser, which is no axis. Did you mean optimizer?"),
        (
            "{optimizer:rmsprop}",
            "has optimizer=rmsprop, which is outside the space: optimizer is sgd, adam. Name",
        ),
        (
            "{optimizer:sgd,optimizer.momentum:0.95}",
            "has optimizer.momentum=0.95, which is outside the space",
        ),
        (
            "{model.filters:[16]}",
            "has model.filters=[16], which is outside the space: model.filters is [8], [8,",
        ),
        (
            "{optimizer:adam,optimizer.momentum:0.5}",
            "has optimizer.momentum=0.5, but there optimizer.momentum d",
        ),
        (
            "3",
            "must give axes their values, but got 3. Write it as in "
            "study.start_with=[{model.kernel_size:3}].",
        ),
    ],
)
def test_entry_outside_the_space_is_refused(entry: str, message: str, plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError) as refused:
        first_configurations(plan(SPACE, f"study.start_with=[{{optimizer:adam}},{entry}]"))
    assert str(refused.value).startswith(f"Entry 2 of study.start_with {message}")


def test_entry_that_cannot_be_trained_is_refused(plan: Callable[..., Plan]) -> None:
    grid = ("model.kernel_size=3,5", "study.constraints=['model.kernel_size < 4']")
    with pytest.raises(ConfigError) as refused:
        first_configurations(plan(*grid, "study.start_with=[{model.kernel_size:5}]"))
    assert str(refused.value) == (
        "Entry 1 of study.start_with cannot be trained: study.constraints forbids it: model.kernel_size < 4"
    )


def test_more_entries_than_trials_are_refused(plan: Callable[..., Plan]) -> None:
    entries = "study.start_with=[{model.kernel_size:5},{model.kernel_size:3}]"
    with pytest.raises(
        ConfigError, match="^study.start_with lists 2 trials, but the sweep has 1. Raise study"
    ):
        first_configurations(plan("model.kernel_size=3,5,7", "study.trials=1", entries))


def test_entries_are_trained_first_and_once(plan: Callable[..., Plan]) -> None:
    """The same command enqueues nothing again; an entry that was tried is no second trial."""
    entries = "study.start_with=[{model.kernel_size:7},{model.kernel_size:5}]"
    trained: list[object] = []
    for total in (1, 1, 4):
        made = plan("model.kernel_size=1,3,5,7", f"study.trials={max(total, 2)}", entries)
        sweep = made.open_sweep(fresh=False)
        enqueue_first(sweep, first_configurations(made))
        for _ in range(total):
            proposal = ask(sweep, (), 0.0)
            assert isinstance(proposal, Proposal)
            trained.append(proposal.params["model.kernel_size"])
            settle(sweep.study, proposal.trial, Outcome("complete", "run", (0.5,), best_epoch=1))
            if len(trained) == 4:
                break
    assert trained == [7, 5, 1, 3]


def test_sampler_gives_the_axes_that_an_entry_leaves_out(plan: Callable[..., Plan]) -> None:
    made = plan(SPACE, "study.start_with=[{optimizer:sgd}]")
    sweep = made.open_sweep(fresh=False)
    enqueue_first(sweep, first_configurations(made))
    proposal = ask(sweep, (), 0.0)
    assert isinstance(proposal, Proposal) and proposal.params["optimizer"] == "sgd"
    assert set(proposal.params) == {"optimizer", "model.filters", "optimizer.momentum"}
