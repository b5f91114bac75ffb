"""Reads the parent runs of sweeps: which there are, and the configuration that each began with."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf

from src.config.search import ClaimConf, TrackingConf
from src.errors import TrackingError
from src.tracking.query import download, find_runs
from src.tracking.run_record import RunRecord

CONFIG = "config.yaml"


def parents_of(cfg: TrackingConf, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The parents of these runs' sweeps, newest first."""
    sweeps = {run.tags["sweep"] for run in runs if "sweep" in run.tags}
    found = find_runs(cfg, {"kind": "study"}) if sweeps else []
    return [parent for parent in found if parent.tags.get("sweep") in sweeps]


def claim_of(cfg: TrackingConf, parent: RunRecord) -> ClaimConf | None:
    """The claim that a sweep was to test; None where it had none."""
    content = config_of(cfg, parent)
    claim = OmegaConf.select(content, "study.claim") if content is not None else None
    if not isinstance(claim, DictConfig):
        return None
    return cast(ClaimConf, OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))


def config_of(cfg: TrackingConf, parent: RunRecord) -> DictConfig | None:
    """The composed configuration that a sweep recorded; None where its artifact is gone."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = download(cfg, parent.run_id, CONFIG, Path(folder))
        except TrackingError:
            return None
        content = OmegaConf.load(path)
    assert isinstance(content, DictConfig)
    return content
