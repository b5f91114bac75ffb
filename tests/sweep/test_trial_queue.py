"""A free worker gets the trial whose graph it has traced, or waits until there may be one."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kerasweep.search.journal import JournalFolder
from kerasweep.search.owner import renew_lease
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.repeats import RepeatedTrial
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


def test_two_drivers_do_not_trace_the_same_graphs(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configurations with the same `a` share a graph; a driver that has none left helps the other one."""

    def open_queue(host: str) -> TrialQueue:
        monkeypatch.setattr("socket.gethostname", lambda: host)
        sweep = sweep_of({"a": "1,2,3,4,5", "b": "range(4)"}, total=20, sampler="grid")
        renew_lease(sweep.study)
        return TrialQueue(replace(sweep, graph_of=lambda params: str(params["a"])), Notes())

    queues = {host: open_queue(host) for host in ("pod-a", "pod-b")}
    trained: dict[str, list[Params]] = {host: [] for host in queues}
    under_way: dict[str, RepeatedTrial] = {}
    for host in (*(["pod-a", "pod-b"] * 9), "pod-a", "pod-a"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        queue = queues[host]
        if host in under_way:
            ended = under_way.pop(host)
            queue.end_job(0, ended, 0, is_complete=True)
            ended.proposal.trial.study.tell(ended.number, 1.0)
            queue.remove(ended)
        trial = queue.next_for(0, 0.0, False)
        assert trial is not None
        queue.begin_job(0, trial, 0)
        under_way[host] = trial
        trained[host].append(trial.proposal.params)
    assert [params["a"] for params in trained["pod-a"]] == [1] * 4 + [3] * 4 + [5] * 3
    assert [params["a"] for params in trained["pod-b"]] == [2] * 4 + [4] * 4 + [5]
    assert len({str(params) for params in [*trained["pod-a"], *trained["pod-b"]]}) == 20


def test_a_worker_that_finds_no_trial_asks_again_once_a_job_has_ended(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last trial is under way, and the driver looks for another one after each of its epochs."""
    taken: list[str] = []
    lock = JournalFolder.lock
    monkeypatch.setattr(JournalFolder, "lock", lambda self, name: taken.append(name) or lock(self, name))
    queue = TrialQueue(sweep_of({"a": "1,2"}, total=1), Notes())
    last = queue.next_for(0, 0.0, False)
    assert last is not None
    last.start(0)
    queue.begin_job(0, last, 0)
    assert queue.next_for(1, 0.0, False) is None and queue.ending is not None
    taken.clear()
    assert [queue.next_for(1, 0.0, False) for _ in range(3)] == [None] * 3 and not taken
    queue.end_job(0, last, 0, is_complete=True)
    assert queue.next_for(1, 0.0, False) is None and len(taken) == 1
