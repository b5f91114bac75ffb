"""The winner of a run that a user names is that run, with the other seeds of its trial."""

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.handover.winner import winner_of
from kerasweep.results import State
from kerasweep.tracking.reader import get_run
from kerasweep.tracking.writer import Tracker


def ended(tracker: Tracker, tags: dict[str, str], state: State, parent: str | None = None) -> str:
    run_id = tracker.start("run", tags, {}, parent)
    tracker.finish(run_id, state)
    return run_id


def test_a_seed_brings_the_complete_seeds_of_its_trial(tracker: Tracker, tracking: TrackingConf) -> None:
    trial, other = (ended(tracker, {"kind": "trial"}, State.COMPLETE) for _ in range(2))
    seeds = [
        ended(tracker, {"kind": "repeat"}, state, trial)
        for state in (State.COMPLETE, State.COMPLETE, State.FAILED)
    ]
    ended(tracker, {"kind": "repeat"}, State.COMPLETE, other)
    winner = winner_of(tracking, get_run(tracking, seeds[0]))
    assert winner.run.run_id == seeds[0]
    assert {seed.run_id for seed in winner.seeds} == set(seeds[:2])


def test_a_single_run_stands_alone(tracker: Tracker, tracking: TrackingConf) -> None:
    run = get_run(tracking, ended(tracker, {"kind": "run"}, State.COMPLETE))
    assert winner_of(tracking, run).seeds == (run,)


@pytest.mark.parametrize("state", [State.PRUNED, State.FAILED])
def test_a_run_that_is_not_complete_is_refused(
    tracker: Tracker, tracking: TrackingConf, state: State
) -> None:
    run_id = ended(tracker, {"kind": "trial"}, state)
    with pytest.raises(TrackingError, match=f"^The run {run_id} is {state}. Name a complete one.$"):
        winner_of(tracking, get_run(tracking, run_id))
