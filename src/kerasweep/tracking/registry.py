"""Finds models in MLflow's registry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.tracking.client import open_client
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.retry import with_retries

SCHEME = "models:/"
MODEL_URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))")
LATEST = "latest"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    version: str
    run_id: str | None  # the run that trained it, if it was registered from one
    location: str  # of its files
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"{SCHEME}{self.name}/{self.version}"


def find_version(cfg: TrackingConf, uri: str) -> ModelVersion:
    """Returns a version of a registered model.

    Args:
        cfg: Names the server or database.
        uri: MLflow's address of it: models:/NAME@ALIAS, models:/NAME/VERSION or models:/NAME/latest.

    Raises:
        TrackingError: The address has another form, or there is no such model, alias or version.
    """
    parts = MODEL_URI.fullmatch(uri)
    if parts is None:
        raise TrackingError(
            f"A model of the registry is written models:/NAME@ALIAS or models:/NAME/VERSION, but got {uri}."
        )
    name, alias, version = parts["name"], parts["alias"], parts["version"]
    tracking_uri = resolve_uri(cfg.uri)
    client = open_client(tracking_uri, create=False)
    if alias is not None:
        found = with_retries(tracking_uri, client.get_model_version_by_alias, name, alias)
    elif version == LATEST:
        found = _latest(tracking_uri, client, name)
    else:
        found = with_retries(tracking_uri, client.get_model_version, name, version)
    return as_version(tracking_uri, client, found)


def as_version(uri: str, client: Any, found: Any) -> ModelVersion:
    """Returns MLflow's model version as ours, with the location of its files."""
    location = with_retries(uri, client.get_model_version_download_uri, found.name, found.version)
    return ModelVersion(
        found.name, str(found.version), found.run_id or None, str(location), dict(found.tags or {})
    )


def _latest(uri: str, client: Any, name: str) -> Any:
    condition = "name='{}'".format(name.replace("'", "''"))
    order = ["version_number DESC"]
    versions = with_retries(uri, client.search_model_versions, condition, max_results=1, order_by=order)
    if not versions:
        raise TrackingError(f"The registry has no version of a model {name}.")
    return versions[0]
