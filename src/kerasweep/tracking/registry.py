"""Reads and writes models in MLflow's registry."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasweep.config.passwords import without_password
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError, TrackingError
from kerasweep.tracking.client import database_lock, open_client
from kerasweep.tracking.keras_model import LoggedModel
from kerasweep.tracking.location import SQLITE, database_path, resolve_uri
from kerasweep.tracking.retry import with_retries
from kerasweep.tracking.tags import PROMOTION, REGISTERED_MODEL, REGISTERED_VERSION

SCHEME = "models:/"
MODEL_URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))")
LATEST = "latest"
# MLflow refuses the first two, its addresses end a name at the third, its search has no escape for the last.
FORBIDDEN = ("/", ":", "@", '"')
REGISTRY_URI = "MLFLOW_REGISTRY_URI"
ABSENT, PRESENT = "RESOURCE_DOES_NOT_EXIST", ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")
# The tag of a logged model by which MLflow's pages of runs show its versions.
VERSIONS_TAG = "mlflow.modelVersions"


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


@dataclass(frozen=True)
class Registry:
    """One registered model, whether it exists already or not. MLflow's errors are raised as TrackingError."""

    name: str
    uri: str  # the registry's
    client: Any  # an MlflowClient

    def versions(self) -> list[ModelVersion]:
        """Returns all versions, oldest first."""
        found = self._call(self.client.search_model_versions, f'name="{self.name}"')
        while found.token:
            more = self._call(
                self.client.search_model_versions, f'name="{self.name}"', page_token=found.token
            )
            more[:0] = found
            found = more
        return [as_version(self.uri, self.client, version) for version in sorted(found, key=_number)]

    def aliases(self) -> dict[str, str]:
        """Returns the version of each alias; empty if the model does not exist."""
        try:
            model = self._call(self.client.get_registered_model, self.name)
        except TrackingError as error:
            if _code(error) == ABSENT:
                return {}
            raise
        return {alias: str(version) for alias, version in model.aliases.items()}

    def create_version(
        self, run_id: str, model: LoggedModel, tags: Mapping[str, str], description: str
    ) -> ModelVersion:
        """Makes a version of a run's model, and the registered model if this is its first version."""
        try:
            self._call(self.client.create_registered_model, self.name)
        except TrackingError as error:
            if _code(error) not in PRESENT:
                raise
        made = self._call(
            self.client.create_model_version,
            self.name,
            model.location,
            run_id,
            tags=dict(tags),
            description=description,
            model_id=model.model_id,
        )
        return as_version(self.uri, self.client, made)

    def describe_version(self, version: str, tags: Mapping[str, str], description: str | None = None) -> None:
        """Sets tags of a version, and its description unless that is None."""
        for key, value in tags.items():
            self._call(self.client.set_model_version_tag, self.name, version, key, value)
        if description is not None:
            self._call(self.client.update_model_version, self.name, version, description)

    def set_alias(self, alias: str, version: str) -> None:
        self._call(self.client.set_registered_model_alias, self.name, alias, version)

    def delete_alias(self, alias: str) -> None:
        self._call(self.client.delete_registered_model_alias, self.name, alias)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lets one process at a time write to a local database; a server has no such lock."""
        database = database_path(self.uri)
        if database is None:
            yield
            return
        with database_lock(database, "registry"):
            yield

    def _call(self, call: Any, *arguments: Any, **options: Any) -> Any:
        return with_retries(self.uri, call, *arguments, **options)


def open_registry(cfg: TrackingConf, name: str) -> Registry:
    """Opens the registry for one registered model.

    Args:
        cfg: Names the server or database. MLFLOW_REGISTRY_URI may name another one for the registry.
        name: The registered model's.

    Raises:
        ConfigError: No address could have this name.
        TrackingError: The registry is not there.
    """
    if not name.strip() or not name.isprintable() or any(character in name for character in FORBIDDEN):
        raise ConfigError(
            f"name needs a name without {' '.join(FORBIDDEN)}, as in name=digits, but got "
            f"{name.strip() or 'none'}."
        )
    uri, client = open_registry_client(cfg)
    return Registry(name, uri, client)


def open_registry_client(cfg: TrackingConf) -> tuple[str, Any]:
    """Returns the URI of the registry and an MlflowClient.

    Raises:
        TrackingError: The registry is not there.
    """
    tracking_uri = resolve_uri(cfg.uri)
    named = os.environ.get(REGISTRY_URI)
    uri = named or tracking_uri
    if named:
        _check_registry(named)
    if uri.startswith(SQLITE):
        uri = f"{SQLITE}{Path(uri.removeprefix(SQLITE)).absolute()}"
    return uri, open_client(tracking_uri, create=False)


def _check_registry(uri: str) -> None:
    """Raises TrackingError for a folder, and for a database that MLflow would create."""
    if "://" not in uri and not uri.startswith("databricks") or uri.startswith("file:"):
        raise TrackingError(
            f"{REGISTRY_URI} must be a database or a server, but got {uri}: MLflow no longer registers "
            "models in folders. Unset it, or name one such as sqlite:///mlruns/mlflow.db or http://localhost:5000."
        )
    database = database_path(uri)
    if database is not None and not database.exists():
        raise TrackingError(
            f"{REGISTRY_URI} names {without_password(uri)}, but there is no such file. Correct or unset it."
        )


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
    registry_uri, client = open_registry_client(cfg)
    if alias is not None:
        found = with_retries(registry_uri, client.get_model_version_by_alias, name, alias)
    elif version == LATEST:
        found = _latest(registry_uri, client, name)
    else:
        found = with_retries(registry_uri, client.get_model_version, name, version)
    return as_version(registry_uri, client, found)


def as_version(uri: str, client: Any, found: Any) -> ModelVersion:
    """Returns MLflow's model version as ours, with the location of its files."""
    location = with_retries(uri, client.get_model_version_download_uri, found.name, found.version)
    return ModelVersion(
        found.name, str(found.version), found.run_id or None, str(location), dict(found.tags or {})
    )


def _latest(uri: str, client: Any, name: str) -> Any:
    order = ["version_number DESC"]
    versions = with_retries(
        uri, client.search_model_versions, f'name="{name}"', max_results=1, order_by=order
    )
    if not versions:
        raise TrackingError(f"The registry has no version of a model {name}.")
    return versions[0]


def show_version(cfg: TrackingConf, model: LoggedModel, name: str, version: str, promotion: str) -> None:
    """Tags a model and its run with a version that was made of it.

    Args:
        cfg: Names the server or database.
        model: The model. MLflow's own tag, which mlflow.register_model sets too, shows the version.
        name: The registered model's.
        version: The version.
        promotion: How it was promoted.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    logged = with_retries(uri, client.get_logged_model, model.model_id)
    shown = json.loads(logged.tags.get(VERSIONS_TAG, "[]"))
    if (name, version) not in [(entry["name"], str(entry["version"])) for entry in shown]:
        own = {VERSIONS_TAG: json.dumps([*shown, {"name": name, "version": version}])}
        with_retries(uri, client.set_logged_model_tags, model.model_id, own)
    tags = {REGISTERED_MODEL: name, REGISTERED_VERSION: version, PROMOTION: promotion}
    for key, value in tags.items():
        with_retries(uri, client.set_tag, logged.source_run_id, key, value)


def _number(found: Any) -> int:
    return int(found.version)


def _code(error: TrackingError) -> str | None:
    """Returns MLflow's code of an error."""
    return getattr(error.__cause__, "error_code", None)
