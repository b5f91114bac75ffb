"""A call from Python leaves the process of its caller as it was."""

import gc
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from kerasweep.api.caller import caller_kept
from kerasweep.config import register
from kerasweep.errors import ConfigError


def change_everything(folder: Path) -> None:
    os.environ["KERASWEEP_LEFT"] = "1"
    os.environ["PATH"] = "nowhere"
    os.environ.pop("HOME", None)
    os.chdir(folder)
    sys.argv = ["other"]
    sys.path.append("other")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger("of_the_caller").disabled = True
    random.seed(1)
    np.random.seed(1)
    gc.set_threshold(1234, 10, 10)


def state() -> list[Any]:
    root = logging.getLogger()
    return [
        dict(os.environ),
        os.getcwd(),
        list(sys.argv),
        list(sys.path),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        (list(root.handlers), root.level, logging.getLogger("of_the_caller").disabled),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        gc.get_threshold(),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_restored_also_after_an_error(tmp_path: Path, fails: bool) -> None:
    before = state()
    try:
        with caller_kept():
            change_everything(tmp_path)
            if fails:
                raise ConfigError("no")
    except ConfigError:
        assert fails
    assert state() == before


def test_the_callers_own_hydra_stays_open(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        with caller_kept():
            assert not GlobalHydra.instance().is_initialized()
            register()
            ConfigStore.instance().store(name="left", node={"b": 2})
        assert compose("mine").a == 1
        assert ConfigStore.instance().list("") == [
            name for name in ConfigStore.instance().list("") if name != "left.yaml"
        ]


def called_in_a_thread(function: Callable[[], None]) -> BaseException | None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except ConfigError as error:
            raised.append(error)

    thread = threading.Thread(target=call, name="of the caller")
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_another_thread_is_refused() -> None:
    def enter() -> None:
        with caller_kept():
            raise AssertionError

    assert str(called_in_a_thread(enter)) == (
        "kerasweep's functions need the main thread, since Ctrl-C must reach them, but were called in "
        "of the caller. Call them there, or start the command in a process."
    )
