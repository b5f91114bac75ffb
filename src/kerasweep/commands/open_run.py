"""Opens a run of MLflow and closes it however the work in it ends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from omegaconf import DictConfig

from kerasweep.results import State
from kerasweep.tracking.source import FIRST_DIFF, command_tags, read_code
from kerasweep.tracking.tags import objective_text, run_params, user_tags
from kerasweep.tracking.writer import Tracker
from kerasweep.trial.run import warm_up
from kerasweep.workers.signals import interrupts_held


@dataclass
class OpenRun:
    """A run, and the state with which it is closed."""

    run_id: str
    state: State = State.CANCELLED
    reason: str | None = "it was stopped"


@contextmanager
def open_run(
    cfg: DictConfig,
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    on_start: Callable[[str], None] = lambda run_id: None,
    parent: str | None = None,
) -> Iterator[OpenRun]:
    """Opens a run for the block, which sets the state of the run at its end; an exception fails the run.

    Args:
        cfg: The configuration that is trained.
        tracker: Writes to MLflow.
        name: The run's.
        tags: The run's, besides those of its code, of the user, and of its objective.
        on_start: Called with the run's id.
        parent: The id of the run that it is shown under.

    Yields:
        The run.
    """
    opened: OpenRun | None = None
    try:
        with interrupts_held():
            code = read_code()
            of_command = {**command_tags(), **code.tags, **user_tags(cfg)}
            all_tags = {**of_command, "objective": objective_text(cfg), **tags}
            opened = OpenRun(tracker.start(name, all_tags, run_params(cfg), parent))
            on_start(opened.run_id)
            warm_up(cfg)
        if code.diff:
            tracker.log_text(opened.run_id, code.diff, FIRST_DIFF)
        yield opened
    except Exception as error:  # whatever ended the work is the run's reason; it is raised again
        if opened is not None:
            opened.state, opened.reason = State.FAILED, f"{type(error).__name__}: {error}"
        raise
    finally:
        if opened is not None:
            with interrupts_held():  # a second Ctrl-C would leave the run open
                tracker.finish(opened.run_id, opened.state, opened.reason)
