"""The owner of a trial is known to be alive or dead, on this host or another."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import psutil
import pytest
from optuna.study import Study, load_study

from kerasweep.results import Outcome
from kerasweep.search import owner
from kerasweep.search.owner import (
    LEASE_SECONDS,
    RENEWAL_SECONDS,
    WATCHED_SECONDS,
    _lease,
    has_ended_here,
    is_alive,
    renew_lease,
    this_owner,
)
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params

Search = Callable[..., tuple[str, list[Params]]]
SPACE = {"a": "range(6)"}


@pytest.fixture
def study(sweep_of: Callable[..., Sweep]) -> Study:
    return sweep_of({}).study


def test_this_process_is_alive_and_a_finished_one_is_not(study: Study, dead_owner: dict[str, Any]) -> None:
    assert is_alive(study, this_owner())
    assert not is_alive(study, dead_owner)
    assert not is_alive(study, None)


def test_only_a_process_of_this_place_is_known_to_have_ended(dead_owner: dict[str, Any]) -> None:
    assert has_ended_here(dead_owner)
    assert has_ended_here({**this_owner(), "started": this_owner()["started"] - 60})
    assert not has_ended_here(this_owner())
    assert not has_ended_here({**dead_owner, "host": "elsewhere"})


def test_zombie_process_is_dead(study: Study) -> None:
    program = (
        "import json; from kerasweep.search.owner import this_owner; print(json.dumps(this_owner()));input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as process:  # type: ignore[call-overload]
        child = json.loads(process.stdout.readline())
        assert is_alive(study, child)
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert not is_alive(study, child)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil's own time is all there is")
def test_owner_stays_alive_when_the_clock_is_set(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_owner()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: time.time() + 3600)
    assert is_alive(study, me) and this_owner() == me


def test_process_that_took_over_a_pid_is_another_owner(study: Study) -> None:
    assert not is_alive(study, {**this_owner(), "started": this_owner()["started"] - 60})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")
@pytest.mark.parametrize("key", ["boot", "namespace"])
def test_a_container_of_the_same_name_is_alive_as_long_as_its_lease_is_fresh(study: Study, key: str) -> None:
    """Its process ids are others than ours: the kernel cannot be asked about them."""
    container = {**this_owner(), key: "another"}
    assert not is_alive(study, container)
    study.set_user_attr(_lease(container), time.time())
    assert is_alive(study, container)
    gone = {**container, "pid": 2**22 + 1}
    study.set_user_attr(_lease(gone), time.time())
    assert is_alive(study, gone)


def test_an_owner_of_an_older_version_is_asked_by_its_host(study: Study, dead_owner: dict[str, Any]) -> None:
    for owner_of, expected in ((this_owner(), True), (dead_owner, False)):
        older = {key: owner_of[key] for key in ("host", "pid", "started")}
        assert is_alive(study, older) is expected
    away = {**older, "host": "elsewhere"}
    study.set_user_attr(f"lease:elsewhere:{away['pid']}:{away['started']:.0f}", time.time())
    assert is_alive(study, away)


def test_owner_on_another_host_is_alive_as_long_as_its_lease_is_fresh(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {**this_owner(), "host": "elsewhere"}
    assert not is_alive(study, elsewhere)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "elsewhere")
        renew_lease(load_study(study_name=study.study_name, storage=study._storage))
    assert is_alive(study, elsewhere)
    now, watched = time.time() + LEASE_SECONDS + 1, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: now)
    assert is_alive(study, elsewhere)  # perhaps it could not renew: the database was away, or it slept
    monkeypatch.setattr(time, "monotonic", lambda: watched + WATCHED_SECONDS + 1)
    assert not is_alive(study, elsewhere)


def test_an_owner_that_renews_an_ended_lease_is_alive(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, now, watched = {**this_owner(), "host": "elsewhere"}, [time.time()], [time.monotonic()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: watched[0])
    for _ in range(4):
        study.set_user_attr(_lease(elsewhere), now[0] - LEASE_SECONDS - 1)
        assert is_alive(study, elsewhere)
        now[0] += RENEWAL_SECONDS
        watched[0] += RENEWAL_SECONDS


def test_a_lease_that_waited_for_its_database_is_renewed_again(study: Study) -> None:
    """It was written with the time before the outage."""
    times: list[float] = []

    class Slow:
        def set_user_attr(self, name: str, value: float) -> None:
            times.append(value)

    clock = iter([0.0, 0.0, 10.0, 10.0, 11.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(clock))
        renew_lease(cast(Study, Slow()))
    assert len(times) == 2


def test_lease_is_renewed_during_a_long_batch(
    sweep_of: Callable[..., Sweep], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leases(study: Study) -> list[float]:
        return [value for name, value in study.user_attrs.items() if name.startswith("lease:")]

    def train(params: dict[str, Any]) -> Outcome:
        (before,) = leases(sweep.study)
        deadline = time.monotonic() + 20
        while leases(sweep_of(SPACE).study) == [before]:
            assert time.monotonic() < deadline
        return Outcome("complete", "run", (0.5,))

    monkeypatch.setattr(owner, "RENEWAL_SECONDS", 0.05)
    sweep = sweep_of(SPACE, total=2)
    assert len(search(sweep, train)[1]) == 2


def test_owner_is_this_process() -> None:
    assert this_owner()["pid"] == os.getpid()
