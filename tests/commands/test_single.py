"""A single run is closed in MLflow, however it ends."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kerasweep.commands import open_run, single
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.writer import Tracker


def test_second_ctrl_c_does_not_leave_the_run_open(
    configured: Callable[..., DictConfig],
    tracking: TrackingConf,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    finish = Tracker.finish

    def press_ctrl_c(*given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def finish_interrupted(*given: Any) -> None:
        press_ctrl_c()
        finish(*given)

    monkeypatch.setattr(open_run, "warm_up", lambda cfg: None)
    monkeypatch.setattr(single, "run_trial", press_ctrl_c)
    monkeypatch.setattr(Tracker, "finish", finish_interrupted)
    cfg = configured()
    cfg.tracking.uri = tracking.uri
    runtime = {"choices": {}, "output_dir": str(tmp_path), "cwd": str(Path.cwd())}
    with pytest.raises(KeyboardInterrupt):
        single.run_single(cfg, OmegaConf.create({"overrides": {"task": []}, "runtime": runtime}))
    (run,) = find_runs(tracking, {"kind": "run"})
    assert (run.status, run.tags["reason"]) == ("KILLED", "it was stopped")


@pytest.mark.parametrize(
    "override",
    ["study.repeats=5", "budget.hours=1", "trial.timeout_seconds=9", "sampler=tpe", "++pruner.patience=3"],
)
def test_what_only_a_sweep_reads_is_refused(override: str, configured: Callable[..., DictConfig]) -> None:
    """One training would look as if five had been asked for."""
    hydra_cfg = OmegaConf.create({"overrides": {"task": ["training.epochs=1", override]}})
    key = override.partition("=")[0].lstrip("+")
    with pytest.raises(ConfigError, match=f"^{key} is used by sweeps. Add -m, or leave it out.$"):
        single.run_single(configured(), hydra_cfg)


def test_data_are_not_sent_by_a_single_run(configured: Callable[..., DictConfig]) -> None:
    with pytest.raises(ConfigError, match=r"^data\.ship is used by sweeps on a Ray cluster\. Leave it"):
        single.run_single(configured("data.ship=true"), OmegaConf.create({"overrides": {"task": []}}))


def test_a_job_of_another_sweeper_may_have_keys_of_the_sweep(
    configured: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-m hydra/sweeper=basic study.name=x` passes them on to each job."""

    def reached(cfg: DictConfig) -> None:
        raise KeyError("the data")

    monkeypatch.setattr(single, "read_data", reached)
    runtime = {"cwd": str(Path.cwd())}
    overrides = {"task": ["study.name=x"]}
    hydra_cfg = OmegaConf.create({"overrides": overrides, "mode": RunMode.MULTIRUN, "runtime": runtime})
    with pytest.raises(KeyError, match="the data"):
        single.run_single(configured(), hydra_cfg)
