"""A sweep goes on in the folder in which it began, and shares it with no other sweep."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hydra.types import HydraContext

from kerasweep.multirun.drive import OpenSweep
from kerasweep.multirun.open_sweeps import SweepOpener
from kerasweep.multirun.plan import Plan
from kerasweep.results import Outcome
from kerasweep.search.ledger import settle
from kerasweep.search.stops import StopRequest
from kerasweep.search.sweep import Sweep

Open = Callable[..., OpenSweep]
KERNELS, BATCHES = "model.kernel_size=3,5", "training.batch_size=32,64"


@pytest.fixture
def opened(
    folder: Path, context: HydraContext, plan: Callable[..., Plan], copy_database: Callable[[Path], Path]
) -> Open:
    """Returns a function that opens the sweep of a command line, as each start of the command does."""
    copy_database(folder)

    def open_sweep(*arguments: str) -> OpenSweep:
        made = plan(*arguments, "hydra/launcher=basic")
        with ExitStack() as stack:
            opener = SweepOpener(context, made.question.master, [], StopRequest(), stack, None)
            return opener.open(made, fresh=False)

    return open_sweep


def jobs(opening: OpenSweep, folder: Path) -> str:
    """Returns a sweep's folder of jobs below the test's, with NAME for the sweep's name."""
    assert Path(opening.plan.question.master.hydra.sweep.dir).absolute() == opening.sweep.jobs
    return str(opening.sweep.jobs.relative_to(folder)).replace(opening.sweep.name, "NAME")


def begin(sweep: Sweep, jobs: Path) -> None:
    """Trains a first trial in a folder."""
    jobs.mkdir(parents=True)
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    settle(sweep.study, trial, Outcome("complete", "run", (0.5,)))


@pytest.mark.parametrize("first", ["out/1", "mlruns/jobs"])
def test_a_continued_sweep_stays_in_its_folder(
    first: str, opened: Open, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with hydra.sweep.dir='out/${now:%H-%M-%S}', which names another folder at each start."""
    opening = opened(KERNELS, f"hydra.sweep.dir={first}")
    begin(opening.sweep, opening.sweep.jobs)
    assert "stay in" not in capsys.readouterr().out
    for again in ("out/2", "out/3"):
        opening = opened(KERNELS, f"hydra.sweep.dir={again}")
        assert jobs(opening, folder) == f"{first}/NAME"
        name = opening.sweep.name
        note = f"note: the jobs of {name} stay in {first}/{name}, where it began, unless you move them to "
        assert f"{note}{again}/{name}\n" in capsys.readouterr().out


@pytest.mark.parametrize("first", ["out", "mlruns/jobs"])
def test_a_sweep_follows_its_folder(first: str, opened: Open, folder: Path) -> None:
    opening = opened(KERNELS, f"hydra.sweep.dir={first}")
    begin(opening.sweep, opening.sweep.jobs)
    (folder / first).rename(folder / "moved")
    assert jobs(opened(KERNELS, "hydra.sweep.dir=moved"), folder) == "moved/NAME"
    assert jobs(opened(KERNELS), folder) == "moved/NAME"


def test_two_sweeps_in_one_folder_have_folders_of_their_own(opened: Open, folder: Path) -> None:
    one, other = (opened(axis, "hydra.sweep.dir=out") for axis in (KERNELS, BATCHES))
    assert one.sweep.jobs != other.sweep.jobs
    assert jobs(one, folder) == jobs(other, folder) == "out/NAME"


def test_a_sweep_of_an_older_version_keeps_the_named_folder(
    opened: Open, plan: Callable[..., Plan], folder: Path
) -> None:
    begin(plan(KERNELS).open_sweep(fresh=False), folder / "out")
    for named in ("out", "out/2"):
        assert jobs(opened(KERNELS, f"hydra.sweep.dir={named}"), folder) == "out"
