"""Loads the images on which a recorded run was trained and tested."""

from omegaconf import DictConfig

from kerasweep.config.recorded import read_recorded
from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import Prepared, join_validation, load_prepared
from kerasweep.errors import DataError
from kerasweep.tracking.reader import CONFIG
from kerasweep.tracking.recorded_run import read_data_digest, read_text
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import RunKind


def read_recorded_data(cfg: TrackingConf, run: RunRecord, path: str | None = None) -> Prepared:
    """Loads a run's data set, with its training, validation and test parts.

    Args:
        cfg: Names the server or database.
        run: The run.
        path: Where the images have moved; None for the recorded place.

    Raises:
        TrackingError: The run has no recorded configuration.
        ConfigError: The configuration does not fit this version.
        DataError: The images are gone, or changed.
    """
    data: DictConfig = read_recorded(read_text(cfg, run.run_id, CONFIG))["data"]
    data.cache_dir, data.ship = None, False
    if path is not None:
        data.path = path
    prepared = load_prepared(data)  # type: ignore[arg-type]
    check_recorded_digest(read_data_digest(cfg, run.run_id), prepared, run.run_id, data)
    is_refit = run.tags.get("kind") == RunKind.REFIT
    return join_validation(data, prepared) if is_refit else prepared  # type: ignore[arg-type]


def check_recorded_digest(recorded: str | None, prepared: Prepared, run_id: str, data: DictConfig) -> None:
    """Raises DataError if the images are not those of the run."""
    if recorded in (None, prepared.digest):
        return
    advice = (
        "Seed the draws of data.target, or restore its code."
        if data.target
        else "Restore them, or name an unchanged copy with data.path."
    )
    raise DataError(
        f"The data of the run {run_id} had the digest {recorded}, and what is there now has "
        f"{prepared.digest}: the images changed. {advice}"
    )
