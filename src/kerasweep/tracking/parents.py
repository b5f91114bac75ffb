"""Reads the parent runs of sweeps: which there are, and the configuration that each began with."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kerasweep.config.search import ClaimConf, TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.tracking.query import download, find_runs
from kerasweep.tracking.run_record import RunRecord

CONFIG = "config.yaml"


def parents_of(cfg: TrackingConf, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The parents of these runs' sweeps, newest first."""
    sweeps = {run.tags["sweep"] for run in runs if "sweep" in run.tags}
    found = find_runs(cfg, {"kind": "study"}) if sweeps else []
    return [parent for parent in found if parent.tags.get("sweep") in sweeps]


def claim_of(cfg: TrackingConf, parent: RunRecord) -> ClaimConf | None:
    """The claim that a sweep was to test; None where it had none.

    Raises TrackingError where that cannot be read: its artifact is gone, damaged, or of another version.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = download(cfg, parent.run_id, CONFIG, Path(folder))
        try:
            claim = OmegaConf.select(OmegaConf.load(path), "study.claim")
            if claim is None:
                return None
            return cast(ClaimConf, OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))
        except (OmegaConfBaseException, YAMLError, ValueError) as error:
            raise TrackingError(f"{CONFIG} of {parent.name} cannot be read: {error}") from error
