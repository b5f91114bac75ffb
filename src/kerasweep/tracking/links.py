"""Makes links to runs and models in MLflow's UI."""

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from kerasweep.config.search import TrackingConf
from kerasweep.terminal import LOCAL_UI
from kerasweep.tracking.client import experiment_id, open_client
from kerasweep.tracking.location import resolve_uri


def run_links(cfg: TrackingConf) -> Callable[[str], str]:
    """Returns a function from a run's id to its address in the UI of MLflow."""
    uri = resolve_uri(cfg.uri)
    experiment = experiment_id(open_client(uri, create=False), uri, cfg.experiment, create=False)
    return lambda run_id: f"{_ui(uri)}/#/experiments/{experiment}/runs/{run_id}"


def version_link(cfg: TrackingConf, name: str, version: str) -> str:
    """Returns the address of a registered model's version in the UI of MLflow."""
    return f"{_ui(resolve_uri(cfg.uri))}/#/models/{quote(name, safe='')}/versions/{version}"


def _ui(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return LOCAL_UI
    host = parts.netloc.rpartition("@")[2]  # without the user's name and password
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")
