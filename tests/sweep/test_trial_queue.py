"""A free worker gets the trial whose graph it has traced, while its process lives."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kerasweep.search.sweep import Sweep
from kerasweep.sweep.trial_queue import TrialQueue
from tests.sweep.stand_ins import Notes


@pytest.mark.parametrize(("has_died", "second"), [(False, {"a": 2, "b": 0}), (True, {"a": 1, "b": 1})])
def test_graphs_of_a_dead_worker_are_free_for_others(
    has_died: bool, second: dict[str, int], sweep_of: Callable[..., Sweep]
) -> None:
    """Configurations with the same `a` share a graph, and the first worker has traced that of a=1."""
    sweep = sweep_of({"a": "1,2", "b": "range(3)"}, total=6, sampler="grid")
    queue = TrialQueue(replace(sweep, graph_of=lambda params: str(params["a"])), Notes())
    first = queue.next_for(0, 0.0, False)
    assert first is not None and first.proposal.params == {"a": 1, "b": 0}
    queue.begin_job(0, first, 0)
    if has_died:
        queue.forget_worker(0)
    trial = queue.next_for(1, 0.0, False)
    assert trial is not None and trial.proposal.params == second
